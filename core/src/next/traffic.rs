//! What clients are led by: steps 3 and 4, their undos, and the last look at the records.

use super::{Action, Case, Decision, is_newer, route_write};
use crate::observe::{Answer, Seen, ZoneView};
use crate::record::{Former, RecordSet};
use crate::records::{address_parts, addresses_of, former_sets, holds, record_sets};
use crate::term::REQUEST_LIMIT;
use crate::transition::Beginning;
use crate::weights;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

impl Case<'_> {
    pub(super) fn drain(&self) -> Decision {
        if let Some(again) = self.cordon_plainly_gone() {
            return again;
        }
        let Some(route) = &self.plan().route else { return self.noted(3, "no route to drain") };
        let (from, to) = (self.plan().backend(self.intent.from()), self.plan().backend(self.intent.to()));
        let mut views = Vec::new();
        for region in [self.intent.from(), self.intent.to()] {
            match self.seen.routes.get(region) {
                Some(Seen::Is(view)) => views.push((region, view)),
                // Nobody may write meanwhile, and there is nothing to wait for.
                Some(Seen::Missing) => {
                    return self.turn(3, format!("route {} in {region} is not there any more", route.object));
                }
                unseen => {
                    let why = unseen.and_then(Seen::why).unwrap_or_default();
                    return self.wait(3, format!("route {} in {region} cannot be read: {why}", route.object));
                }
            }
        }
        let mut former = BTreeMap::new();
        for (region, view) in &views {
            // H18: no match must never drain everything, nor any rule.
            if !weights::leads_to_both(view, &from, &to) {
                return self.turn(3, format!("route {} in {region} lacks backend {from} or {to}", route.object));
            }
            if let Some(fault) = view.rules.iter().find_map(|rule| weights::fault(rule, &from, &to)) {
                return self.turn(3, format!("route {} in {region}, {fault}", route.object));
            }
            former.insert((*region).clone(), weights::former(view, &from, &to));
        }
        let former = Former { weights: former, ..Former::default() };
        if let Some(start) = self.start(3, Beginning { former, ..Beginning::default() }) {
            return start;
        }
        for (region, view) in &views {
            let Some(before) = self.intent.former.weights.get(*region) else { continue };
            let wanted = weights::drained(view, before, &from, &to);
            if weights::stand(view, &wanted) && self.claimed(&view.claim) {
                continue;
            }
            if is_newer(view, self.record.generation) {
                return self.wait(3, format!("route in {region} was written by a newer generation"));
            }
            let write = route_write(region, view, self.claim(), wanted);
            return self.act(3, Action::Route(write), "the weights were not taken");
        }
        let drain = Duration::from_secs(route.drain_seconds.into());
        match self.memory.drained_for(self.now.at) {
            Some(drained) if drained >= drain => {
                let was = self.intent.former.weights.values().map(|w| w.from).max().unwrap_or_default();
                self.noted(3, format!("{from} {was} -> 0"))
            }
            _ => self.wait(3, format!("draining for {} s", route.drain_seconds)),
        }
    }

    pub(super) fn flip_dns(&self) -> Decision {
        if let Some(again) = self.cordon_plainly_gone() {
            return again;
        }
        if let Some(start) = self.start_flip() {
            return start;
        }
        if self.plan().records.hostnames.is_empty() {
            return self.noted(4, "no hostnames to flip");
        }
        let wanted = match record_sets(self.plan()) {
            Ok(wanted) => wanted,
            Err(why) => return self.turn(4, why),
        };
        match (self.is_published(&wanted), self.answers_only_to()) {
            (Ok(true), Ok(())) => {
                let addresses: Vec<String> = self.plan().addresses.iter().map(ToString::to_string).collect();
                let names = self.plan().records.hostnames.join(", ");
                self.noted(4, format!("{names} -> {}, verified", addresses.join(", ")))
            }
            (Ok(true), Err(why)) => self.wait(4, format!("published, but {why} (H19)")),
            (Ok(false), answers) => {
                let taken = self.memory.sent.as_ref().is_some_and(|sent| sent.taken && sent.sets == wanted);
                let waiting = match answers {
                    Err(why) if taken => format!("published, but {why} (H19)"),
                    _ => "the records were not taken".to_owned(),
                };
                self.act(4, self.publish(self.intent.to(), &wanted), &waiting)
            }
            (Err(why), _) => self.wait(4, why),
        }
    }

    /// Step 4 begins with the former records, and with the other controller's beat: step 5 wants it grown
    /// since, so a beat that cannot be read is not taken for the first.
    fn start_flip(&self) -> Option<Decision> {
        // Where the role was to go back and forward again, the beat is counted anew.
        if self.intent.step(4).started_at.is_some() && self.intent.beat_before.is_some() {
            return None;
        }
        let Some(beat) = self.beat() else {
            let to = self.intent.to();
            let cause = self.seen.copies.get(to).and_then(Seen::unanswered);
            let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
            return Some(self.wait(4, format!("the copy in {to} cannot be read{cause}")));
        };
        let records = match self.zone() {
            _ if self.plan().records.hostnames.is_empty() => None,
            Ok(zone) if zone.by_api() => Some(address_parts(&zone.records)),
            Ok(zone) if !zone.is_whole() => {
                return Some(self.wait(4, "no server answers for every name, so what stands in the zone is not known"));
            }
            // What stood there is not shown: what an undo publishes is made from the plan.
            Ok(_) => match former_sets(self.plan()) {
                Ok(former) => Some(former),
                Err(why) => return Some(self.turn(4, why)),
            },
            Err(why) => return Some(self.wait(4, why)),
        };
        let led_to = self.seen.zone.known().filter(|zone| !zone.by_api()).map(|zone| self.led_to(zone));
        let former = Former {
            records,
            answered: Some(self.answered()),
            led_to: led_to.unwrap_or_default(),
            ..Former::default()
        };
        self.start(4, Beginning { former, beat: Some(beat), ..Beginning::default() })
    }

    /// DNS writes carry no claim, so a delayed one may have landed since: the records are looked at once
    /// more, one request limit after the last attempt, before the end.
    pub(super) fn settle_dns(&self) -> Option<Decision> {
        if self.plan().records.hostnames.is_empty() {
            return None;
        }
        let last = self.memory.dns_tried.or(self.memory.driving)?;
        if self.now.at.since(last) < REQUEST_LIMIT {
            return Some(Decision::Wait(7, "records are looked at once more".into()));
        }
        if self.seen.zone == Seen::NotLooked {
            return Some(Decision::Wait(7, "records are looked at once more".into()));
        }
        let wanted = record_sets(self.plan()).ok()?;
        match self.zone_holds(&wanted) {
            Ok(true) => None,
            // Whoever else writes them goes on writing: that is for people, and keeps no intent standing.
            Ok(false) if self.memory.left_to_others() => None,
            Ok(false) if self.memory.may_try(4, None, self.now.at) => {
                Some(Decision::Act(4, self.publish(self.intent.to(), &wanted)))
            }
            Ok(false) => Some(Decision::Wait(4, "records are being put right".into())),
            // The role has moved; a DNS server that is away now does not keep the intent standing.
            Err(_) => None,
        }
    }

    pub(super) fn undo_dns(&self) -> Decision {
        let Some(former) = &self.intent.former.records else { return self.seen_undone(4) };
        match self.is_published(former) {
            // H19: a record that the server took may still be one that it cannot run.
            Ok(true) => match self.answers_as_before(former) {
                Ok(()) => self.seen_undone(4),
                Err(why) => Decision::Wait(4, format!("the former records are published, but {why} (H19)")),
            },
            // Nothing shows what stands there, and the publisher does not take it; but names lead where they led.
            Ok(false) if self.memory.steps[4].failed > 0 && self.leads_as_before(former) => self.seen_undone(4),
            Ok(false) => {
                self.try_undo(4, self.publish(self.intent.from(), former), "the former records were not taken")
            }
            Err(_) => Decision::Wait(4, self.memory.unseen(4)),
        }
    }

    /// Whether every name leads where it led before step 4, where only answers tell, and after whatever step 4 sent would
    /// have been answered.
    fn leads_as_before(&self, former: &[RecordSet]) -> bool {
        let Some(zone) = self.seen.zone.known().filter(|zone| !zone.by_api() && zone.is_whole()) else { return false };
        let sent = self.memory.sent_forward.or(self.memory.driving);
        let is_settled = sent.is_none_or(|at| self.now.at.since(at) >= REQUEST_LIMIT + self.caches());
        let before = &self.intent.former.led_to;
        is_settled
            && match before.is_empty() {
                // The step began where the records themselves were shown.
                true => holds(zone, former) && self.answers_as_before(former).is_ok(),
                false => self.led_to(zone).iter().all(|(name, now)| {
                    let before = before.get(name).map(Vec::as_slice).unwrap_or_default();
                    // Of several addresses a server may answer one.
                    let ours =
                        |address: &IpAddr| before.contains(address) || self.plan().former_addresses.contains(address);
                    before.is_empty() == now.is_empty() && now.iter().all(ours)
                }),
            }
    }

    /// The addresses that each name is answered with.
    fn led_to(&self, zone: &ZoneView) -> BTreeMap<String, Vec<IpAddr>> {
        let of = |name: &String| {
            let own: Vec<RecordSet> = zone.records.iter().filter(|set| set.hostname == *name).cloned().collect();
            addresses_of(&own).into_iter().flatten().collect()
        };
        self.plan().records.hostnames.iter().map(|name| (name.clone(), of(name))).collect()
    }

    /// The names that lead somewhere now, as step 4 begins.
    fn answered(&self) -> Vec<String> {
        let leads = |name: &&String| {
            let answers = self.seen.answers.get(*name).into_iter().flatten();
            answers.filter_map(|(_, answer)| answer.known()).any(Answer::leads)
        };
        self.plan().records.hostnames.iter().filter(leads).cloned().collect()
    }

    /// Whether every name that led somewhere before step 4 does again, and nowhere but where the former records lead.
    /// A name that was not answered before is nothing that an undo could bring back.
    fn answers_as_before(&self, former: &[RecordSet]) -> Result<(), String> {
        for name in self.intent.former.answered.iter().flatten() {
            let own: Vec<RecordSet> = former.iter().filter(|set| set.hostname == *name).cloned().collect();
            let known = addresses_of(&address_parts(&own));
            self.each_answer(name, |answer| {
                let known = known.as_ref()?;
                let foreign = answer.addresses.iter().find(|address| !known.contains(*address))?;
                Some((foreign.to_string(), ", where it did not lead before".into()))
            })?;
        }
        Ok(())
    }

    /// A delayed publish may have landed after the former records were seen.
    pub(super) fn settle_former_dns(&self) -> Option<Decision> {
        let former = self.intent.former.records.as_ref().filter(|_| self.intent.step(4).started_at.is_some())?;
        let last = self.memory.dns_tried.or(self.memory.driving)?;
        if self.now.at.since(last) < REQUEST_LIMIT {
            return Some(Decision::Wait(4, "records are looked at once more".into()));
        }
        match self.zone_holds(former) {
            Ok(true) => None,
            // Whoever else writes them goes on writing: that is for people, and keeps no intent standing.
            Ok(false) if self.memory.left_to_others() => None,
            Ok(false) => {
                let publish = self.publish(self.intent.from(), former);
                Some(self.try_undo(4, publish, "the former records were not taken"))
            }
            // They were seen; a DNS server that is away now does not keep the intent standing.
            Err(_) => None,
        }
    }

    pub(super) fn undo_drain(&self) -> Decision {
        let (from, to) = (self.plan().backend(self.intent.from()), self.plan().backend(self.intent.to()));
        // One region that is away keeps no other from being put right: A's own comes first, and of two that do
        // not take their weights each has its turn.
        let mut writes = Vec::new();
        let mut waiting = None;
        for region in [self.intent.from(), self.intent.to()] {
            let Some(former) = self.intent.former.weights.get(region) else { continue };
            let view = match self.seen.routes.get(region) {
                Some(Seen::Is(view)) => view,
                // Somebody deleted it since: there are no weights to give back.
                Some(Seen::Missing) => continue,
                _ => {
                    waiting = Some(self.memory.unseen(3));
                    continue;
                }
            };
            let wanted = weights::restored(view, former, &from, &to);
            // The claim is written also where the weights stand: it kills a patch still in flight.
            if weights::stand(view, &wanted) && self.claimed(&view.claim) {
                continue;
            }
            if is_newer(view, self.record.generation) {
                waiting = Some(format!("route in {region} was written by a newer generation"));
                continue;
            }
            writes.push(route_write(region, view, self.claim(), wanted));
        }
        let last = self.memory.route_tried.as_ref();
        let other = writes.iter().position(|write| Some(&write.region) != last).unwrap_or(0);
        if !writes.is_empty() {
            let write = writes.swap_remove(other);
            return self.try_undo(3, Action::Route(write), "the former weights were not taken");
        }
        waiting.map_or_else(|| self.seen_undone(3), |why| Decision::Wait(3, why))
    }
}
