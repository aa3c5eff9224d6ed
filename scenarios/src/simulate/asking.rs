//! What is asked of a controller and answered by a report, at its desk or over its HTTP API, as a platform's API asks.

use super::conduct::{Conductor, GivenUp};
use super::facts;
use crate::format::{DryRun, Health, HttpRequest, Place, Via};
use crate::outcome::Report;
use continuum_core::name::Region;
use continuum_core::report::DryRunReport;
use continuum_sim::ground;
use continuum_sim::world::objects::{APPLICATION, NAMESPACE};
use continuum_sim::world::platform::API_TOKEN;
use continuum_sim::world::{Answered, Awaited, Call, CallAnswer, Order, awaited};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a dry run, a health check or a request may take before the run is given up.
const LIMIT: Duration = Duration::from_secs(90);

/// Requests whose answers are looked for.
pub(super) struct Requests<'a> {
    place: Place,
    what: &'a HttpRequest,
    region: Region,
    since: Duration,
    awaited: Vec<Awaited<CallAnswer>>,
    answers: Vec<Result<CallAnswer, String>>,
}

impl<'a> Conductor<'a> {
    pub(super) fn dry_run(&mut self, place: Place, what: &DryRun) -> Result<(), GivenUp> {
        let (region, to) = (self.asked(what.asked.as_ref()), what.to.region());
        let report = self.watched_dry_run(&region, &to, what)?;
        let former = self.fingerprint.clone();
        if let Ok(report) = &report {
            self.fingerprint = Some(report.plan_fingerprint.clone());
        }
        facts::expect_dry_run(self, place, &what.expect, &report, former.as_deref());
        self.report(report.map_or_else(Report::Error, Report::DryRun));
        Ok(())
    }

    /// What controllers change meanwhile is noted, where nothing else goes on.
    fn watched_dry_run(
        &mut self,
        region: &Region,
        to: &Region,
        what: &DryRun,
    ) -> Result<Result<DryRunReport, String>, GivenUp> {
        let is_alone =
            self.is_idle() && self.record().is_none_or(|record| record.intent.is_none() && record.pending.is_none());
        let before = ground::Place::now(&self.world.sources());
        let report = if what.via == Some(Via::Api) {
            let body = json!({ "toRegion": to, "reason": what.reason });
            self.ask_api(region, "POST", "dry-run", &body)?
        } else {
            let (to, reason) = (to.clone(), what.reason.clone());
            let (order, answer) = awaited(|answer| Order::DryRun { to, reason, answer });
            self.world.desks[region.as_str()].leave(order);
            self.answered("the dry run", &answer)?
        };
        if is_alone {
            self.dry_run_acts.extend(before.acts_since(&self.world.sources()));
        }
        Ok(report)
    }

    pub(super) fn health(&mut self, place: Place, what: &Health) -> Result<(), GivenUp> {
        // As the controller does: the resolvers' caches have to run out first.
        let due = self.ended.map_or(Duration::ZERO, |at| at + self.world.options.health_delay);
        self.until("the health check's time", due, |run| run.world.now() >= due)?;
        let region = self.asked(what.asked.as_ref());
        let report = if what.via == Some(Via::Api) {
            self.ask_api(&region, "GET", "health", &Value::Null)?
        } else {
            let (order, answer) = awaited(|answer| Order::Health { answer });
            self.world.desks[region.as_str()].leave(order);
            self.answered("the health check", &answer)?
        };
        facts::expect_health(self, place, &what.expect, &report);
        self.report(report.map_or_else(Report::Error, Report::Health));
        Ok(())
    }

    /// A report of the HTTP API, or why there is none: `400: ...`.
    fn ask_api<T: DeserializeOwned>(
        &mut self,
        region: &Region,
        method: &str,
        what: &str,
        body: &Value,
    ) -> Result<Result<T, String>, GivenUp> {
        let path = format!("/v1/continuums/{NAMESPACE}/{APPLICATION}/{what}");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let call = Call::of_owner(region.as_str(), method, path, body);
        let (call, answer) = awaited(|answer| (call, answer));
        self.world.platform.leave(call);
        let answer = self.answered("the HTTP API", &answer)?;
        Ok(answer.and_then(|answer| match answer.status {
            200 => serde_json::from_str(&answer.body).map_err(|error| format!("the answer is no report: {error}")),
            _ => Err(told(&answer)),
        }))
    }

    /// Runs until something that was asked is answered.
    fn answered<T>(&mut self, what: &str, answer: &Awaited<T>) -> Result<Result<T, String>, GivenUp> {
        let limit = self.world.now() + LIMIT;
        loop {
            match answer.look() {
                Answered::With(answer) => return Ok(answer),
                Answered::Lost => return Ok(Err("the controller died before it answered".into())),
                Answered::NotYet if self.world.now() >= limit => {
                    return Err(GivenUp(format!("{what} gave no answer in {} s", LIMIT.as_secs())));
                }
                Answered::NotYet => self.tick()?,
            }
        }
    }

    pub(super) fn request(&mut self, place: Place, what: &'a HttpRequest) -> Result<(), GivenUp> {
        let region = self.asked(what.asked.as_ref());
        let mut headers = Vec::new();
        match what.tier.as_deref() {
            None => headers.push(("X-Catalyst-Owner-Tier".to_owned(), "true".to_owned())),
            Some("") => {}
            Some(tier) => headers.push(("X-Catalyst-Owner-Tier".to_owned(), tier.to_owned())),
        }
        let token = what.token.as_deref().unwrap_or(API_TOKEN);
        if !token.is_empty() {
            headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
        }
        headers.extend(what.accept.iter().map(|accept| ("Accept".to_owned(), accept.clone())));
        headers.extend(what.key.iter().map(|key| ("Idempotency-Key".to_owned(), key.clone())));
        let mut requests =
            Requests { place, what, region, since: self.world.now(), awaited: Vec::new(), answers: Vec::new() };
        for _ in 0..what.count {
            let call = Call {
                region: requests.region.as_str().to_owned(),
                method: what.method.clone(),
                path: what.path.clone(),
                headers: headers.clone(),
                body: what.body.clone(),
            };
            let (call, answer) = awaited(|answer| (call, answer));
            self.world.platform.leave(call);
            requests.awaited.push(answer);
        }
        self.requests.push(requests);
        let count = self.requests.len();
        while what.wait && self.requests.len() == count {
            self.tick()?;
        }
        Ok(())
    }

    /// Looks whether requests were answered. What is not by its limit counts as not answered.
    pub(super) fn look_at_requests(&mut self) {
        let now = self.world.now();
        let mut index = 0;
        while index < self.requests.len() {
            let requests = &mut self.requests[index];
            let over = now >= requests.since + LIMIT;
            let answers = &mut requests.answers;
            requests.awaited.retain(|awaited| {
                answers.push(match awaited.look() {
                    Answered::With(answer) => answer,
                    Answered::Lost => Err("who asked died".into()),
                    Answered::NotYet if over => Err(format!("no answer in {} s", LIMIT.as_secs())),
                    Answered::NotYet => return true,
                });
                false
            });
            if !requests.awaited.is_empty() {
                index += 1;
                continue;
            }
            let ended = self.requests.remove(index);
            self.judge_answers(&ended);
        }
    }

    fn judge_answers(&mut self, requests: &Requests<'_>) {
        let mut by_answer: BTreeMap<String, usize> = BTreeMap::new();
        for answer in &requests.answers {
            *by_answer.entry(answer.as_ref().map_or_else(Clone::clone, told)).or_default() += 1;
        }
        let what = requests.what;
        let counts: Vec<String> = by_answer
            .iter()
            .map(|(answer, count)| if what.count == 1 { answer.clone() } else { format!("{count} times {answer}") })
            .collect();
        let detail = format!("{} {} in {}: {}", what.method, what.path, requests.region, counts.join("; "));
        self.narrate_request(&detail);
        let unmet = |answer: &Result<CallAnswer, String>| match answer {
            Err(_) => what.expect != crate::format::RequestExpect::default(),
            Ok(answer) => {
                what.expect.status.is_some_and(|status| status != answer.status)
                    || what.expect.body.as_ref().is_some_and(|part| !answer.body.contains(part))
            }
        };
        if requests.answers.iter().any(unmet) {
            let status = what.expect.status.map(|status| status.to_string());
            let body = what.expect.body.as_ref().map(|part| format!("a body with `{part}`"));
            let expected: Vec<String> = status.into_iter().chain(body).collect();
            let found = requests.answers.iter().find(|answer| unmet(answer)).map(|answer| match answer {
                Ok(answer) => shown(answer),
                Err(why) => why.clone(),
            });
            self.unmet(Some(requests.place), "request.expect", expected.join(" and "), found.unwrap_or_default());
        }
    }
}

/// So much of a body is shown.
const SHOWN_LENGTH: usize = 200;

/// Its status, and how its body begins.
fn shown(answer: &CallAnswer) -> String {
    let begin: String = answer.body.chars().take(SHOWN_LENGTH).collect();
    let more = if answer.body.chars().count() > SHOWN_LENGTH { "..." } else { "" };
    format!("{} {begin}{more}", answer.status)
}

/// Its status, and where it says that something is wrong, what.
fn told(answer: &CallAnswer) -> String {
    let body = serde_json::from_str::<Value>(&answer.body).unwrap_or_default();
    match body["error"].as_str() {
        Some(error) => format!("{}: {error}", answer.status),
        None => answer.status.to_string(),
    }
}
