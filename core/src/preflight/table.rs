//! The table of everything that preflight checks, complete and in one place. What cannot be observed yet
//! stands here too and says what it needs, so that the list shows its gaps.

/// What a check's finding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The switchover would fail or be unsafe.
    Blocker,
    /// Advice.
    Warning,
}

/// One entry of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name, stable.
    pub id: &'static str,
    /// The step whose precondition it is.
    pub step: u8,
    /// What its finding means.
    pub severity: Severity,
    /// What should hold.
    pub about: &'static str,
    /// What it needs to be observable. Absent: it is checked.
    pub needs: Option<&'static str>,
}

macro_rules! checks {
    ($($variant:ident, $id:literal, $step:literal, $severity:ident, $about:literal $(, needs $needs:literal)?;)*) => {
        /// A check, by name. `CHECKS[id as usize]` is its entry.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Id { $(#[doc = $about] $variant,)* }

        /// Every check, in the order in which findings of a step are given.
        pub const CHECKS: &[Check] = &[$(Check {
            id: $id,
            step: $step,
            severity: Severity::$severity,
            about: $about,
            needs: checks!(@needs $($needs)?),
        },)*];

        #[cfg(test)]
        pub(super) const IDS: &[Id] = &[$(Id::$variant,)*];
    };
    (@needs) => { None };
    (@needs $needs:literal) => { Some($needs) };
}

checks! {
    WitnessKind, "witness-kind", 1, Blocker, "the lease kind is one that is built";
    Witness, "witness", 1, Blocker, "a witness is configured and answers";
    WitnessKeeps, "witness-keeps", 1, Blocker, "the witness keeps the record: it does not expire, and fits";
    WitnessLasts, "witness-lasts", 1, Warning, "the witness outlasts the loss of one of its servers";
    LeaseThirdParty, "lease-third-party", 1, Blocker, "no third party holds the lease, expired or not";
    LeaseRenewed, "lease-renewed", 1, Blocker, "the lease is held by the old region with time left";
    LeaseFree, "lease-free", 1, Warning, "the lease is held, so that it need not be taken cold";
    LeaseRedundant, "lease-redundant", 1, Warning, "the lease is not at the new region already";
    Generation, "generation", 1, Blocker, "no claim of a newer generation than the record's stands anywhere";
    UnderWay, "under-way", 1, Blocker, "no switchover is under way and no failback waits";
    EventsOwed, "events-owed", 1, Blocker, "no event of an earlier switchover is owed";
    IntentLength, "intent-length", 1, Blocker, "the plan fits into the record";
    ApiServers, "api-servers", 1, Blocker, "the API servers of both regions are reached";
    Copies, "copies", 1, Blocker, "both regions have a valid copy of the Continuum";
    CopiesAgree, "copies-agree", 1, Blocker, "the copies of the Continuum agree";
    ControllerAlive, "controller-alive", 1, Blocker, "the new region's controller lives and reaches the witness";
    WitnessApart, "witness-apart", 1, Warning, "the witness shares no region with a half (H16)";
    AutoFailover, "auto-failover", 1, Warning, "an automatic failover of an asynchronous pair cannot leave two writers";
    MinimumStay, "minimum-stay", 1, Warning, "the minimum stay after the last switchover is over (H12)",
        needs "automatic switchovers, which alone have a minimum stay";

    Pair, "pair", 2, Blocker, "both halves of the pair are found";
    Rights, "rights", 2, Blocker, "the controller has the rights that the steps need";
    RtoTooShort, "rto-too-short", 2, Blocker, "the objective leaves the demotion time";
    SourcePrimary, "source-primary", 2, Blocker, "the old half is primary and accepts writes";
    SinglePrimary, "single-primary", 2, Blocker, "there is no other writable primary";
    TargetReplica, "target-replica", 2, Blocker, "the new half is a replica of the old one";
    TargetPrimary, "target-primary", 2, Blocker, "where the lease is at the new region already, its half is primary";
    RoleChange, "role-change", 2, Blocker, "no role change is in progress on either half";
    ExternalClusters, "external-clusters", 2, Blocker, "each half knows both as external clusters, and the other as its source";
    OperatorActs, "operator-acts", 2, Blocker, "the operators of both halves act on them (not disabled, not hibernated)";
    OperatorFault, "operator-fault", 2, Blocker, "no operator is a release that may lose the demotion token (H52)";
    DemotionAdmitted, "demotion-admitted", 2, Blocker, "the old region's API server would take the demotion (tried with dryRun=All)";
    SourceToken, "source-token", 2, Blocker, "the old half's spec has no promotion token but its last one";
    SourceReady, "source-ready", 2, Blocker, "the old half is Ready";
    Archiving, "archiving", 2, Blocker, "archiving is healthy on both halves";
    Backup, "backup", 2, Blocker, "no backup runs on the old half that would hold its shutdown";
    SwitchoverDelayGuard, "switchover-delay-guard", 2, Blocker, "switchoverDelay of both halves is at most the guard less 2 s";
    SwitchoverDelayLimit, "switchover-delay-limit", 2, Blocker, "switchoverDelay and 13 s are within step 2's limit";
    Database, "database", 2, Blocker, "PostgreSQL of both halves can be looked at";
    SystemId, "system-id", 2, Blocker, "both halves have the same system identifier";
    Timeline, "timeline", 2, Blocker, "the new half's timeline is not behind";
    WalOnly, "wal-only", 2, Blocker, "the new half has a connection to the old one, and not its archive alone";
    Streaming, "streaming", 2, Blocker, "the new half streams from the old one";
    ReplayPaused, "replay-paused", 2, Blocker, "replay is not paused on the new half, and that is known";
    HotStandbySettings, "hot-standby-settings", 2, Blocker, "no setting that a standby needs is lower on the new half (H49)";
    LogicalSlots, "logical-slots", 2, Blocker, "the logical slots of the old half are on the new one";
    LagKnown, "lag-known", 2, Blocker, "the replication lag is known (H02)";
    LagWithinRpo, "lag-within-rpo", 2, Blocker, "the replication lag is within the RPO (H11)";
    SynchronousBoth, "synchronous-both", 2, Blocker, "synchronous settings stand on both halves or on neither";
    ReplicaRows, "replica-rows", 2, Warning, "the new half follows over one connection (H48)";
    InSync, "in-sync", 2, Warning, "a synchronous pair is in sync (H28)";
    OperatorFlaw, "operator-flaw", 2, Warning, "no operator is a release with another known fault (H52)";
    OperatorsDiffer, "operators-differ", 2, Warning, "both halves have operators of one release";
    KeptElsewhere, "kept-elsewhere", 2, Warning, "no GitOps tool keeps the halves as it has them (H35)";
    LegacyAnnotation, "legacy-annotation", 2, Warning, "no old tool left cnpg.io/cluster.primary on the primary (H01)";

    Route, "route", 3, Blocker, "the route is found in both regions";
    RouteBackends, "route-backends", 3, Blocker, "the route's backends are those of the two regions (H18)";
    RouteRule, "route-rule", 3, Blocker, "no rule of the route has the old region's backend without the new one's (H38)";
    RouteWeights, "route-weights", 3, Blocker, "no rule of the new region's route has all weights 0 (H38)";
    RouteAdmitted, "route-admitted", 3, Blocker, "the API servers of both regions would take the weights (tried with dryRun=All)";
    RouteAccepted, "route-accepted", 3, Blocker, "the new region's gateways accept the route";
    RouteGateway, "route-gateway", 3, Warning, "no gateway complains about the route";
    RouteKeptElsewhere, "route-kept-elsewhere", 3, Warning, "no GitOps tool keeps the routes as it has them (H35)";
    DrainLong, "drain-long", 3, Warning, "the drain is at most 30 s";

    Addresses, "addresses", 4, Blocker, "addresses of the new region are known";
    RecordsValid, "records-valid", 4, Blocker, "the records are valid (H19)";
    HealthUrl, "health-url", 4, Blocker, "ifurlup's URL gives a plain 200 at each address of the new region (H20)";
    HealthUrlSeen, "health-url-seen", 4, Warning, "ifurlup's URL can be asked";
    Zone, "zone", 4, Blocker, "a DNS publisher is configured and the zone is writable";
    Authorities, "authorities", 4, Blocker, "every authoritative server answers for the names";
    FormerAnswers, "former-answers", 4, Warning, "names that lead elsewhere are not led to the old region by an undo, where no publisher shows records";
    AuthorityCaches, "authority-caches", 4, Warning, "no authoritative server answers from caches that step 4 has to wait for";
    TtlAboveRto, "ttl-above-rto", 4, Warning, "the records' TTL is within the RTO";

    LeaseThirdPartySwap, "lease-third-party-swap", 5, Blocker, "no third party holds the lease that is to be swapped";

    TargetReady, "target-ready", 6, Blocker, "the new half is Ready";
    PromotionAdmitted, "promotion-admitted", 6, Blocker, "the new region's API server would take the promotion (tried with dryRun=All)";
    TargetToken, "target-token", 6, Blocker, "the new half's spec has no promotion token";
    TargetFenced, "target-fenced", 6, Blocker, "nothing is fenced on the new half";
    MinApplyDelay, "min-apply-delay", 6, Blocker, "neither half has minApplyDelay";
    RoleSecrets, "role-secrets", 6, Blocker, "the role secrets of both halves are there and equal (H33)";
    RoleLogin, "role-login", 6, Blocker, "the database takes the passwords in the role secrets (H53)";
    RoleLoginUnknown, "role-login-unknown", 6, Warning, "the database could be asked whether it takes them";
    SmartShutdownRto, "smart-shutdown-rto", 6, Blocker, "smartShutdownTimeout of the new half is within the RTO (H30)";
    SmartShutdownLong, "smart-shutdown-long", 6, Warning, "smartShutdownTimeout of the new half is at most 5 s (H30)";
    Instances, "instances", 6, Warning, "the new half has as many instances as the old one";
    Configuration, "configuration", 6, Warning, "the halves are configured alike";

    AuditStream, "audit-stream", 7, Blocker, "an audit stream is configured and reached";
}

impl Id {
    /// Its entry in the table.
    pub fn check(self) -> &'static Check {
        &CHECKS[self as usize]
    }
}
