//! Recordings, and the events that are compared.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// What happened, in words that a recording and the model share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// The script patched the spec or the fence.
    Script,
    LastPromotionTokenCleared,
    LastPromotionTokenSet,
    DemotionTokenCleared,
    DemotionTokenSet,
    Fenced,
    Unfenced,
    /// `inProgress`, the fencing condition, and the transition False.
    SwitchBegan,
    /// Their end, and the switch condition True.
    SwitchEnded,
    TransitionCompleted,
    NotReady,
    Ready,
    PhaseApplying,
    PhasePromoting,
    PhaseRestarting,
    PhaseHealthy,
    PhaseOther,
    SystemIdGone,
    SystemIdBack,
    ReportsPrimary,
    ReportsStandby,
    TimelineGrew,
    NoReadyInstance,
    ReadyInstance,
    ArchivingShown,
    /// A client that connects anew for each write.
    FreshAccepted,
    FreshRefused,
    FreshUnreachable,
    /// A client that holds its session.
    SessionAccepted,
    SessionRefused,
    SessionUnreachable,
}

/// Every kind.
pub const ALL: [What; 31] = [
    What::Script,
    What::LastPromotionTokenCleared,
    What::LastPromotionTokenSet,
    What::DemotionTokenCleared,
    What::DemotionTokenSet,
    What::Fenced,
    What::Unfenced,
    What::SwitchBegan,
    What::SwitchEnded,
    What::TransitionCompleted,
    What::NotReady,
    What::Ready,
    What::PhaseApplying,
    What::PhasePromoting,
    What::PhaseRestarting,
    What::PhaseHealthy,
    What::PhaseOther,
    What::SystemIdGone,
    What::SystemIdBack,
    What::ReportsPrimary,
    What::ReportsStandby,
    What::TimelineGrew,
    What::NoReadyInstance,
    What::ReadyInstance,
    What::ArchivingShown,
    What::FreshAccepted,
    What::FreshRefused,
    What::FreshUnreachable,
    What::SessionAccepted,
    What::SessionRefused,
    What::SessionUnreachable,
];

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// Seconds since the recording's beginning.
    pub at: f64,
    /// `shop-fsn` or `shop-hel`.
    pub half: String,
    pub what: What,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:7.2} {} {:?}", self.at, self.half.trim_start_matches("shop-"), self.what)
    }
}

/// A step of a script.
#[derive(Clone, Debug)]
pub enum Step {
    /// A patch, and how it was answered.
    Patch { half: String, body: Value, status: u64, message: String },
    /// Until this path of the object is set.
    Wait { half: String, path: String },
    /// Takes the half's demotion token that the last wait was for.
    Token,
    /// `kill -9` of PostgreSQL.
    Kill { half: String },
}

/// A recording.
pub struct Recording {
    lines: Vec<Value>,
}

impl Recording {
    pub fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/traces/{name}.ndjson"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { lines: text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() }
    }

    /// How long the slowest answer to the script took, s. Known where it was made under pressure: each patch is a step
    /// of its own there, also one of the fence alone.
    pub fn slowest_answer(&self) -> Option<f64> {
        self.lines.iter().filter_map(|line| line["took"].as_f64()).max_by(f64::total_cmp)
    }

    /// When the last line was written.
    pub fn end(&self) -> f64 {
        self.lines.iter().filter_map(|line| line["t"].as_f64()).fold(0.0, f64::max)
    }

    /// The script with the time of each step.
    pub fn script(&self) -> Vec<(f64, Step)> {
        // What a client saw is waited for by the times of what follows.
        let of_client = |line: &&Value| {
            let wait = line["wait"].as_str().unwrap_or_default();
            wait.ends_with(" accepted") || wait.ends_with(" refused")
        };
        let lines = self.lines.iter().filter(|line| line["from"] == "script" && !of_client(line));
        lines
            .map(|line| {
                // Written down when the answer was there.
                let at = line["t"].as_f64().unwrap() - line["took"].as_f64().unwrap_or_default();
                let step = if let Some(half) = line["patch"].as_str() {
                    Step::Patch {
                        half: half.into(),
                        body: line["body"].clone(),
                        status: line["status"].as_u64().unwrap(),
                        message: line["message"].as_str().unwrap_or_default().into(),
                    }
                } else if let Some(wait) = line["wait"].as_str() {
                    let (half, path) = wait.split_once(' ').unwrap();
                    Step::Wait { half: half.into(), path: path.trim_end_matches('?').into() }
                } else if line["sh"].is_string() {
                    Step::Kill { half: "shop-fsn".into() }
                } else {
                    Step::Token
                };
                (at, step)
            })
            .collect()
    }

    /// Whether a half's system id is known when the script begins.
    pub fn knows_system_id(&self, half: &str) -> bool {
        let begin = self.script()[0].0;
        let states = self.lines.iter().filter(|line| line["name"] == half && line["t"].as_f64().unwrap() < begin);
        let mut ids = states.filter_map(|line| {
            line["initial"]
                .get("status")
                .map(|status| status["systemID"].is_string())
                .or_else(|| line["changed"]["status"].get("systemID").map(Value::is_string))
        });
        ids.next_back().unwrap()
    }

    pub fn events(&self) -> Vec<Event> {
        let mut objects: BTreeMap<String, Value> = BTreeMap::new();
        let mut clients = Clients::default();
        let mut events = Vec::new();
        for line in &self.lines {
            let at = line["t"].as_f64().unwrap();
            let half = line["name"].as_str().unwrap_or_default().to_owned();
            let whats = match line["from"].as_str() {
                Some("cluster") if line["initial"].is_object() => {
                    objects.insert(half.clone(), line["initial"].clone());
                    Vec::new()
                }
                Some("cluster") => {
                    let object = objects.get_mut(&half).unwrap();
                    let before = object.clone();
                    merge(object, &line["changed"]);
                    changes(&before, object)
                }
                Some("probe") => {
                    let write = line["write"].as_str().unwrap_or("unreachable");
                    clients.saw(&half, line["by"] == "session", write).into_iter().collect()
                }
                Some("script") if line["sh"].is_string() => {
                    // Written down when it was through.
                    events.push(Event { at: at - 0.1, half: "shop-fsn".into(), what: What::Script });
                    Vec::new()
                }
                Some("script") if line["patch"].is_string() && line["took"].is_number() => {
                    let half = line["patch"].as_str().unwrap().to_owned();
                    let at = at - line["took"].as_f64().unwrap();
                    events.push(Event { at, half, what: What::Script });
                    Vec::new()
                }
                _ => Vec::new(),
            };
            events.extend(whats.into_iter().map(|what| Event { at, half: half.clone(), what }));
        }
        events.sort_by(|a, b| a.at.total_cmp(&b.at));
        events
    }
}

/// The last word of each client: only changes are events.
#[derive(Default)]
pub struct Clients(BTreeMap<(String, bool), What>);

impl Clients {
    pub fn saw(&mut self, half: &str, session: bool, write: &str) -> Option<What> {
        let what = match (session, write) {
            (false, "accepted") => What::FreshAccepted,
            (true, "accepted") => What::SessionAccepted,
            (false, write) if write.starts_with("refused 25006") => What::FreshRefused,
            (true, write) if write.starts_with("refused 25006") => What::SessionRefused,
            (false, _) => What::FreshUnreachable,
            (true, _) => What::SessionUnreachable,
        };
        let former = self.0.insert((half.to_owned(), session), what);
        (former != Some(what)).then_some(what)
    }
}

/// An API server's object in the form of the recordings' lines.
pub fn simplify(cluster: &Value) -> Value {
    let conditions = cluster["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let conditions: serde_json::Map<String, Value> = conditions
        .iter()
        .map(|c| (c["type"].as_str().unwrap().to_owned(), Value::from(vec![c["status"].clone(), c["reason"].clone()])))
        .collect();
    let mut status = cluster["status"].clone();
    status.as_object_mut().unwrap().remove("conditions");
    serde_json::json!({
        "annotations": cluster["metadata"].get("annotations").cloned().unwrap_or(serde_json::json!({})),
        "spec.replica": cluster["spec"]["replica"],
        "status": status,
        "conditions": conditions,
    })
}

/// What one change of an object shows.
pub fn changes(before: &Value, after: &Value) -> Vec<What> {
    let mut whats = Vec::new();
    let mut note = |path: &[&str], f: &dyn Fn(&Value, &Value) -> Option<What>| {
        let at = |object: &Value| path.iter().fold(object.clone(), |value, key| value[key].clone());
        let (old, new) = (at(before), at(after));
        if old != new {
            whats.extend(f(&old, &new));
        }
    };
    let set = |yes: What, no: What| move |_: &Value, new: &Value| Some(if new.is_null() { no } else { yes });
    note(&["spec.replica"], &|_, _| Some(What::Script));
    note(&["annotations", "cnpg.io/fencedInstances"], &set(What::Fenced, What::Unfenced));
    note(&["status", "switchReplicaClusterStatus", "inProgress"], &set(What::SwitchBegan, What::SwitchEnded));
    note(&["conditions", "ReplicaClusterDesignatedPrimaryTransition"], &|_, new| {
        (new[0] == "True").then_some(What::TransitionCompleted)
    });
    note(&["status", "demotionToken"], &set(What::DemotionTokenSet, What::DemotionTokenCleared));
    note(&["status", "lastPromotionToken"], &set(What::LastPromotionTokenSet, What::LastPromotionTokenCleared));
    note(&["status", "timelineID"], &|_, _| Some(What::TimelineGrew));
    note(&["status", "systemID"], &set(What::SystemIdBack, What::SystemIdGone));
    note(&["status", "readyInstances"], &set(What::ReadyInstance, What::NoReadyInstance));
    note(&["status", "phase"], &|_, new| {
        Some(match new.as_str().unwrap_or_default() {
            "Applying configuration" => What::PhaseApplying,
            "Promoting to primary cluster" => What::PhasePromoting,
            "Primary instance is being restarted in-place" => What::PhaseRestarting,
            "Cluster in healthy state" => What::PhaseHealthy,
            _ => What::PhaseOther,
        })
    });
    note(&["conditions", "Ready"], &|_, new| Some(if new[0] == "True" { What::Ready } else { What::NotReady }));
    note(&["conditions", "ContinuousArchiving"], &|_, _| Some(What::ArchivingShown));
    let primary = |object: &Value| {
        let reports = object["status"]["instancesReportedState"].as_object().cloned().unwrap_or_default();
        reports.values().next().map(|report| report["isPrimary"] == true)
    };
    match (primary(before), primary(after)) {
        (old, new) if old == new => {}
        (_, Some(true)) => whats.push(What::ReportsPrimary),
        _ => whats.push(What::ReportsStandby),
    }
    whats
}

/// A JSON merge patch.
fn merge(object: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(serde_json::Map::new());
    }
    let object = object.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            object.remove(key);
        } else {
            merge(object.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}
