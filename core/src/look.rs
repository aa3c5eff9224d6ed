//! Looking at the world: one function that fills [`Observations`] from the observing ports. It decides
//! nothing. A look that does not end in time is `Unknown`, never an answer.

use crate::clock::{Clock, within};
use crate::name::{ObjectName, Region};
use crate::next::{Permit, cluster_write};
use crate::observe::{Answers, Claim, ClusterView, Half, Observations, Role, RouteView, Seen, ZoneView};
use crate::plan::Plan;
use crate::ports::{ClusterChange, ClusterWrite, Observers, RouteWrite, Source};
use crate::record::RecordSet;
use crate::records;
use crate::roles::Roles;
use crate::spec::Selector;
use crate::term::{REQUEST_LIMIT, WITNESS_LIMIT};
use crate::weights;
use futures_util::future::{join, join_all};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The intent in the claim of a write that is only tried.
const TRIED: &str = "dry-run";

/// What to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The half in `from`.
    pub from: Depth,
    /// The half in `to`.
    pub to: Depth,
    /// Both routes.
    pub routes: bool,
    /// The zone, through its API.
    pub zone: bool,
    /// What the authoritative servers answer.
    pub answers: bool,
    /// Both copies of the Continuum.
    pub copies: bool,
    /// What only a preflight asks: rights, secrets, the stream.
    pub preflight: bool,
    /// What no answer is waited for longer than [`BRIEF_LIMIT`].
    pub brief: Brief,
    /// Where Clusters, routes and copies are looked up.
    pub source: Source,
}

/// How much of a half is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Nothing.
    #[default]
    Not,
    /// Its Cluster.
    Cluster,
    /// Its Cluster, and its PostgreSQL.
    Whole,
}

/// Looks that nothing depends on: one region's silence is not in the way of another's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Brief {
    /// The half in `from`.
    pub from: bool,
    /// The half in `to`.
    pub to: bool,
    /// Both routes.
    pub routes: bool,
    /// The zone.
    pub zone: bool,
}

/// How long a look that nothing depends on may take.
pub const BRIEF_LIMIT: Duration = Duration::from_secs(1);

impl Needs {
    /// Everything: what a dry run looks at.
    pub const ALL: Needs = Needs {
        from: Depth::Whole,
        to: Depth::Whole,
        routes: true,
        zone: true,
        answers: true,
        copies: true,
        preflight: true,
        brief: Brief { from: false, to: false, routes: false, zone: false },
        source: Source::Servers,
    };
}

/// What a look gives within its limit.
pub(crate) async fn limited<T>(clock: &dyn Clock, limit: Duration, look: impl Future<Output = Seen<T>>) -> Seen<T> {
    within(clock, limit, look).await.unwrap_or_else(|| Seen::Unknown(format!("no answer in {} s", limit.as_secs())))
}

pub(crate) async fn when<T>(wanted: bool, look: impl Future<Output = Seen<T>>) -> Seen<T> {
    if wanted { look.await } else { Seen::NotLooked }
}

/// Looks at what is needed, all at once. `authorities` are the zone's servers as they are known already; where there
/// are none, those of the plan, or else those that the zone names.
pub async fn look(
    observers: &Observers,
    clock: &dyn Clock,
    plan: &Plan,
    needs: Needs,
    authorities: &[SocketAddr],
) -> Observations {
    let regions = [&plan.from, &plan.to];
    let halves = join(
        half(observers, clock, plan, &plan.from, (needs.from, needs.brief.from), needs.source),
        half(observers, clock, plan, &plan.to, (needs.to, needs.brief.to), needs.source),
    );
    let routes = join_all(regions.map(|region| async move {
        let seen = match &plan.route {
            None => Seen::Unconfigured,
            Some(route) => {
                let limit = if needs.brief.routes { BRIEF_LIMIT } else { REQUEST_LIMIT };
                when(needs.routes, limited(clock, limit, observers.route(needs.source, region, &route.object))).await
            }
        };
        (region.clone(), seen)
    }));
    let copies = join_all(regions.map(|region| async move {
        let seen = when(needs.copies, limited(clock, REQUEST_LIMIT, observers.copy(needs.source, region))).await;
        (region.clone(), seen)
    }));
    let dns = dns(observers, clock, plan, needs, authorities);
    let (((from, to), routes), (copies, (zone, (authorities, answers)))) =
        join(join(halves, routes), join(copies, dns)).await;
    let mut seen = Observations {
        halves: [(plan.from.clone(), from), (plan.to.clone(), to)].into_iter().collect(),
        routes: routes.into_iter().collect(),
        copies: copies.into_iter().collect(),
        zone,
        authorities,
        answers,
        ..Observations::default()
    };
    if needs.preflight {
        preflight_facts(observers, clock, plan, &mut seen).await;
    }
    seen
}

async fn half(
    observers: &Observers,
    clock: &dyn Clock,
    plan: &Plan,
    region: &Region,
    (depth, brief): (Depth, bool),
    source: Source,
) -> Half {
    let limit = if brief { BRIEF_LIMIT } else { REQUEST_LIMIT };
    match depth {
        Depth::Not => Half::default(),
        Depth::Cluster => {
            let cluster = limited(clock, limit, observers.cluster(source, region, &plan.pair)).await;
            Half { cluster, ..Half::default() }
        }
        Depth::Whole => half_within(observers, clock, &plan.pair, region, limit, source).await,
    }
}

/// One half of `pair`.
pub async fn half_of(observers: &Observers, clock: &dyn Clock, pair: &ObjectName, region: &Region) -> Half {
    half_within(observers, clock, pair, region, REQUEST_LIMIT, Source::Servers).await
}

/// As [`half_of`], each of the two looks within `limit`, and the Cluster from `source`. PostgreSQL is always asked.
pub(crate) async fn half_within(
    observers: &Observers,
    clock: &dyn Clock,
    pair: &ObjectName,
    region: &Region,
    limit: Duration,
    source: Source,
) -> Half {
    let cluster = limited(clock, limit, observers.cluster(source, region, pair)).await;
    let database = match (&observers.database, cluster.known()) {
        (None, _) => Seen::Unconfigured,
        (Some(_), None) => Seen::NotLooked,
        (Some(probe), Some(cluster)) => limited(clock, limit, probe.look(region, &cluster.object)).await,
    };
    Half { cluster, database, ..Half::default() }
}

/// Where the publisher shows no records, the zone is what its servers answer.
async fn dns(
    observers: &Observers,
    clock: &dyn Clock,
    plan: &Plan,
    needs: Needs,
    known: &[SocketAddr],
) -> (Seen<ZoneView>, (Seen<Vec<SocketAddr>>, BTreeMap<String, Answers>)) {
    let is_answered = plan.zone.is_some() && observers.records.as_ref().is_some_and(|records| !records.shows_zone());
    if !needs.zone || !is_answered {
        let zone = zone(observers, clock, plan, (needs.zone, needs.brief.zone));
        return join(zone, answers(observers, clock, plan, needs.answers.then_some(REQUEST_LIMIT), known)).await;
    }
    let limit = if needs.brief.zone && !needs.answers { BRIEF_LIMIT } else { REQUEST_LIMIT };
    let looked = answers(observers, clock, plan, Some(limit), known).await;
    let zone = Seen::Is(records::of_answers(&plan.records.hostnames, &looked.1));
    (zone, looked)
}

async fn zone(observers: &Observers, clock: &dyn Clock, plan: &Plan, (wanted, brief): (bool, bool)) -> Seen<ZoneView> {
    let limit = if brief { BRIEF_LIMIT } else { REQUEST_LIMIT };
    match (&observers.records, &plan.zone) {
        (Some(records), Some(zone)) => {
            when(wanted, limited(clock, limit, records.zone(zone, &plan.records.hostnames))).await
        }
        _ => Seen::Unconfigured,
    }
}

/// `limit`: of each question, where it is shorter than usual; absent: nothing is asked.
async fn answers(
    observers: &Observers,
    clock: &dyn Clock,
    plan: &Plan,
    limit: Option<Duration>,
    known: &[SocketAddr],
) -> (Seen<Vec<SocketAddr>>, BTreeMap<String, Answers>) {
    let (Some(records), Some(limit)) = (&observers.records, limit) else { return Default::default() };
    let listed = if known.is_empty() { &plan.dns.authorities } else { known };
    let authorities = match &plan.zone {
        _ if !listed.is_empty() => Seen::Is(listed.to_vec()),
        Some(zone) => limited(clock, limit, records.authorities(zone)).await,
        None => Seen::Unconfigured,
    };
    let servers = authorities.known().map_or(&[][..], Vec::as_slice);
    let looks = plan.records.hostnames.iter().map(|hostname| async move {
        let asked = servers.iter().map(|server| async move {
            (*server, limited(clock, WITNESS_LIMIT.min(limit), records.answer(*server, hostname)).await)
        });
        (hostname.clone(), join_all(asked).await.into_iter().collect())
    });
    let answers = join_all(looks).await.into_iter().collect();
    (authorities, answers)
}

/// All at once, but that a login follows its secret: step 1 has 3 s for them.
async fn preflight_facts(observers: &Observers, clock: &dyn Clock, plan: &Plan, seen: &mut Observations) {
    let stream = async {
        match &observers.audit {
            None => Seen::Unconfigured,
            Some(audit) => limited(clock, WITNESS_LIMIT, audit.stream()).await,
        }
    };
    let witness = async {
        match &observers.witness {
            None => Seen::Unconfigured,
            Some(witness) => limited(clock, WITNESS_LIMIT, witness.missing_rights()).await,
        }
    };
    let register = async {
        match &observers.witness {
            None => Seen::NotLooked,
            Some(witness) => limited(clock, WITNESS_LIMIT, witness.shortcomings()).await,
        }
    };
    let halves: &Observations = seen;
    let regions = join_all([&plan.from, &plan.to].map(|region| (region, &halves.half(region).cluster)).map(
        |(region, cluster)| async move {
            let rights = limited(clock, REQUEST_LIMIT, observers.pair.missing_rights(region, plan));
            let roles = async {
                let cluster = cluster.known()?;
                Some(roles_of(observers, clock, region, cluster, *region == plan.from).await)
            };
            let admitted = admitted(observers, clock, plan, halves, region);
            let weights = weights_admitted(observers, clock, plan, halves, region);
            (region.clone(), join(rights, join(roles, join(admitted, weights))).await)
        },
    ));
    let takes = async {
        let first = |sets: Result<Vec<RecordSet>, String>| sets.ok().and_then(|sets| sets.into_iter().next());
        let (Some(records), Some(zone), Some(set)) =
            (&observers.records, &plan.zone, first(records::record_sets(plan)))
        else {
            return Seen::NotLooked;
        };
        // Where an undo publishes them, those of the old region too.
        let former = first(records::former_sets(plan)).filter(|_| !records.shows_zone());
        let former = async {
            match &former {
                Some(former) => limited(clock, REQUEST_LIMIT, records.takes(zone, former)).await,
                None => Seen::NotLooked,
            }
        };
        let (taken, former) = join(limited(clock, REQUEST_LIMIT, records.takes(zone, &set)), former).await;
        if taken == Seen::NotLooked { former } else { taken }
    };
    let backup = async {
        match halves.half(&plan.from).cluster.known() {
            // A namespace may hold years of Backups: their list is no reason not to know the rest.
            Some(cluster) => limited(clock, BRIEF_LIMIT, observers.pair.backup_runs(&plan.from, cluster)).await,
            None => Seen::NotLooked,
        }
    };
    let beside =
        join(join(stream, join(witness, register)), join(backup, join(takes, health_urls(observers, clock, plan))));
    let (((stream, (witness, register)), (backup, (takes, health))), regions) = join(beside, regions).await;
    seen.backup_runs = backup;
    seen.zone_takes = takes;
    seen.health_urls = health;
    seen.stream = stream;
    seen.witness_shares = observers.witness.as_ref().and_then(|w| w.shares());
    seen.witness_shortcomings = register;
    seen.witness_kind = observers.witness_kind();
    for (region, (rights, (roles, (admitted, weights)))) in regions {
        seen.rights.insert(region.to_string(), rights);
        seen.roles.extend(roles.map(|roles| (region.clone(), roles)));
        seen.admitted.insert(region.clone(), admitted);
        seen.weights_admitted.insert(region, weights);
    }
    if observers.witness.is_some() {
        seen.rights.insert("witness".into(), witness);
    }
}

/// The roles of one half, and, where it is `asked`, whether its database takes their passwords.
pub async fn roles_of(
    observers: &Observers,
    clock: &dyn Clock,
    region: &Region,
    cluster: &ClusterView,
    asked: bool,
) -> Roles {
    let seen = limited(clock, REQUEST_LIMIT, observers.pair.secrets(region, cluster)).await;
    let mut logins = Vec::new();
    let secrets = seen.map(|secrets| {
        let mut hashes = BTreeMap::new();
        for (role, secret) in secrets {
            logins.push((role.clone(), secret.login));
            hashes.insert(role, secret.hash);
        }
        hashes
    });
    let Some(probe) = observers.database.as_ref().filter(|_| asked) else {
        return Roles { secrets, logins: BTreeMap::new() };
    };
    let tries = logins.into_iter().map(|(role, login)| async move {
        let Some(login) = login else { return (role, Seen::Unknown("it has no username or no password".into())) };
        (role, limited(clock, WITNESS_LIMIT, probe.lets_in(region, &cluster.object, &login)).await)
    });
    Roles { secrets, logins: join_all(tries).await.into_iter().collect() }
}

/// What the health check of the records would find at each address that they are going to name.
async fn health_urls(observers: &Observers, clock: &dyn Clock, plan: &Plan) -> BTreeMap<IpAddr, Seen<u16>> {
    let (Some(records), Selector::Ifurlup, Some(check)) =
        (&observers.records, plan.records.selector, &plan.records.health_check)
    else {
        return BTreeMap::new();
    };
    let asked = plan.addresses.iter().map(|address| async move {
        (*address, limited(clock, WITNESS_LIMIT, records.health(&check.url, *address)).await)
    });
    join_all(asked).await.into_iter().collect()
}

/// Whether the region's API server would take the change of role that the plan makes there. It is asked for under
/// the claim that stands, in nobody's name: the claim is part of the change, and a policy may want to see it change.
async fn admitted(
    observers: &Observers,
    clock: &dyn Clock,
    plan: &Plan,
    seen: &Observations,
    region: &Region,
) -> Seen<Result<(), String>> {
    let (Some(from), Some(to)) = (seen.half(&plan.from).cluster.known(), seen.half(&plan.to).cluster.known()) else {
        return Seen::NotLooked;
    };
    let (mut cluster, change) = match *region == plan.from {
        true => (from.clone(), ClusterChange::Demote { primary: to.self_name.clone() }),
        false => (
            to.clone(),
            ClusterChange::Promote { primary: to.self_name.clone(), token: None, permit: Permit::to_try() },
        ),
    };
    let before = if *region == plan.from { Role::Primary } else { Role::Replica };
    if cluster.role != before || cluster.in_progress {
        return Seen::NotLooked;
    }
    let work = async {
        let first = observers.pair.admits(&tried(region, &cluster, change.clone())).await;
        let Seen::Unknown(_) = first else { return first };
        // The operator writes the Cluster often, and a version that is no longer there is no answer.
        match observers.pair.cluster(region, &plan.pair).await {
            Seen::Is(now) if now.resource_version != cluster.resource_version => {
                cluster = now;
                observers.pair.admits(&tried(region, &cluster, change)).await
            }
            _ => first,
        }
    };
    limited(clock, REQUEST_LIMIT, work).await
}

/// Whether the region's API server would take the weights that step 3 gives its route, tried as above.
async fn weights_admitted(
    observers: &Observers,
    clock: &dyn Clock,
    plan: &Plan,
    seen: &Observations,
    region: &Region,
) -> Seen<Result<(), String>> {
    let Some(view) = seen.routes.get(region).and_then(Seen::known) else { return Seen::NotLooked };
    let (from, to) = (plan.backend(&plan.from), plan.backend(&plan.to));
    let write = |view: &RouteView| RouteWrite {
        region: region.clone(),
        object: view.object.clone(),
        resource_version: view.resource_version.clone(),
        claim: Claim { generation: view.claim.as_ref().map_or(0, |claim| claim.generation), intent: TRIED.into() },
        weights: weights::drained(view, &weights::former(view, &from, &to), &from, &to),
    };
    let work = async {
        let first = observers.route.admits(&write(view)).await;
        let Seen::Unknown(_) = first else { return first };
        // Gateways write what they think of a route, and a version that is no longer there is no answer.
        match observers.route.route(region, &view.object).await {
            Seen::Is(now) if now.resource_version != view.resource_version => {
                observers.route.admits(&write(&now)).await
            }
            _ => first,
        }
    };
    limited(clock, REQUEST_LIMIT, work).await
}

fn tried(region: &Region, cluster: &ClusterView, change: ClusterChange) -> ClusterWrite {
    let generation = cluster.claim.as_ref().map_or(0, |claim| claim.generation);
    cluster_write(region, cluster, Claim { generation, intent: TRIED.into() }, change)
}
