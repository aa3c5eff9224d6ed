use super::transitions::{
    CONDITIONS, FAILED, Notice, PHASES, REFUSED, STARTED, STEP_DONE, SUCCEEDED, Severity, UNDONE, between,
};
use super::*;
use continuum_live::clock::SystemClock;
use http::{Request, Response};
use kube::client::Body;
use serde_json::json;
use tower::{BoxError, service_fn};

/// A status with these conditions, each with its status and the message `as told`.
fn status(phase: &str, conditions: &[(&str, &str)]) -> Value {
    let list = conditions
        .iter()
        .map(|(kind, status)| json!({ "type": kind, "status": status, "reason": "Why", "message": "as told" }));
    json!({ "phase": phase, "conditions": list.collect::<Vec<_>>() })
}

/// A status of a switchover under way.
fn moving(step: u8, message: &str) -> Value {
    json!({
        "phase": "SwitchingOver", "switchoverInProgress": true, "switchoverStep": format!("step {step}/7 — name"),
        "conditions": [{ "type": "Ready", "status": "Unknown", "reason": "InProgress", "message": message }],
    })
}

fn ended(result: &str, message: &str) -> Value {
    json!({
        "phase": "FailedOver", "switchoverInProgress": false,
        "lastSwitchover": { "at": "2026-11-20T10:00:22Z", "from": "fsn", "to": "hel", "result": result, "rtoObserved": "22s" },
        "conditions": [{ "type": "Ready", "status": "True", "reason": "Succeeded", "message": message }],
    })
}

fn lines(notices: Vec<Notice>) -> Vec<String> {
    notices.into_iter().map(|notice| format!("{:?} {} {}", notice.severity, notice.reason, notice.note)).collect()
}

/// Without what is told of phase and conditions.
fn of_moves(before: &Value, now: &Value) -> Vec<String> {
    let moves = between(before, now).into_iter().filter(|notice| notice.action == "Switchover");
    lines(moves.collect())
}

#[test]
fn each_change_of_phase_and_condition_is_told_with_its_cause() {
    let well = status("Healthy", &[("LeaseHeld", "True"), ("Ready", "True"), ("StandbyAvailable", "True")]);
    let ill = status("Degraded", &[("LeaseHeld", "True"), ("Ready", "False"), ("StandbyAvailable", "False")]);
    assert_eq!(
        lines(between(&well, &ill)),
        [
            "Warning PhaseDegraded Healthy → Degraded: as told",
            "Warning NotReady Why: as told",
            "Warning StandbyUnavailable Why: as told",
        ]
    );
    assert_eq!(
        lines(between(&ill, &well)),
        [
            "Normal PhaseHealthy Degraded → Healthy: as told",
            "Normal Ready Why: as told",
            "Normal StandbyAvailable Why: as told",
        ]
    );
    let interfered = status("Healthy", &[("LeaseHeld", "True"), ("Ready", "True"), ("Interference", "True")]);
    assert_eq!(lines(between(&well, &interfered)), ["Warning Interference Why: as told"]);
}

#[test]
fn what_did_not_change_is_not_told() {
    let before = status("Healthy", &[("Ready", "True")]);
    let mut now = before.clone();
    now["replicationLagSeconds"] = json!(1);
    now["conditions"][0]["message"] = json!("other words");
    assert!(between(&before, &now).is_empty());
    assert!(between(&moving(3, "moving"), &moving(3, "moving; waiting for the drain")).is_empty());
}

#[test]
fn a_switchover_is_told_from_its_start_over_each_step_to_its_end() {
    let well = status("Healthy", &[("Ready", "True")]);
    assert_eq!(
        of_moves(&well, &moving(1, "moving from fsn to hel")),
        ["Normal SwitchoverStarted moving from fsn to hel"]
    );
    assert_eq!(
        of_moves(&moving(1, ""), &moving(2, "")),
        ["Normal SwitchoverStepDone step 1/7 (validate-lease) is done"]
    );
    // Two between two looks.
    assert_eq!(
        of_moves(&moving(4, ""), &moving(6, "")),
        [
            "Normal SwitchoverStepDone step 4/7 (flip-dns) is done",
            "Normal SwitchoverStepDone step 5/7 (swap-lease) is done",
        ]
    );
    assert_eq!(
        of_moves(&moving(6, ""), &ended("Success", "")),
        [
            "Normal SwitchoverStepDone step 6/7 (uncordon-new-primary) is done",
            "Normal SwitchoverStepDone step 7/7 (audit-emit) is done",
            "Normal SwitchoverSucceeded fsn → hel in 22s",
        ]
    );
    // Nobody looked between.
    assert_eq!(of_moves(&well, &ended("Success", "")), ["Normal SwitchoverSucceeded fsn → hel in 22s"]);
}

#[test]
fn one_that_fails_is_told_when_it_turns_and_when_it_is_undone() {
    let undoing = moving(4, &format!("{UNDOING}step-4 (flip-dns): SERVFAIL"));
    use continuum_core::status::UNDOING;
    assert_eq!(of_moves(&moving(4, ""), &undoing), ["Warning SwitchoverFailed undoing: step-4 (flip-dns): SERVFAIL"]);
    assert!(of_moves(&undoing, &moving(2, &format!("{UNDOING}step-4"))).is_empty());
    let undone = ended("Failed", "the last switchover was undone: step-4");
    assert_eq!(
        of_moves(&undoing, &undone),
        ["Warning SwitchoverUndone fsn → hel: the last switchover was undone: step-4",]
    );
}

#[test]
fn another_that_began_before_the_next_look_is_told_after_the_end_of_the_first() {
    let mut now = ended("Success", "moving from hel to fsn");
    now["switchoverInProgress"] = json!(true);
    now["switchoverStep"] = json!("step 2/7 — cordon-old-primary");
    assert_eq!(
        of_moves(&moving(7, ""), &now),
        [
            "Normal SwitchoverStepDone step 7/7 (audit-emit) is done",
            "Normal SwitchoverSucceeded fsn → hel in 22s",
            "Normal SwitchoverStarted moving from hel to fsn",
            "Normal SwitchoverStepDone step 1/7 (validate-lease) is done",
        ]
    );
}

#[test]
fn an_order_that_was_refused_is_told_once() {
    let before = status("Healthy", &[("Ready", "True")]);
    let mut now = before.clone();
    now["lastRefusal"] =
        json!({ "at": "2026-11-20T10:00:00Z", "to": "hel", "message": "step-4 (flip-dns): no address" });
    assert_eq!(of_moves(&before, &now), ["Warning SwitchoverRefused to hel: step-4 (flip-dns): no address"]);
    assert!(of_moves(&now, &now.clone()).is_empty());
}

/// A copy that came back from a backup, say, whose status is written anew.
#[test]
fn a_status_that_begins_tells_what_is_and_nothing_of_long_ago() {
    let mut now = ended("Success", "");
    now["lastRefusal"] = json!({ "to": "hel", "message": "no" });
    let told = lines(between(&Value::Null, &now));
    assert_eq!(told, ["Normal PhaseFailedOver FailedOver: ", "Normal Ready Succeeded: "]);
}

#[test]
fn every_phase_of_the_status_has_its_reason() {
    assert_eq!(PHASES.map(|(phase, ..)| phase), continuum_core::status::PHASES);
}

#[test]
fn every_reason_is_in_the_documentation_and_no_other() {
    let text = include_str!("../../../docs/resource.md");
    let (_, section) = text.split_once("## Events of Kubernetes").expect("its section");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    let conditions = CONDITIONS.iter().flat_map(|(_, reasons)| reasons.iter().map(|(reason, _)| *reason));
    let told = [STARTED, STEP_DONE, SUCCEEDED, FAILED, UNDONE, REFUSED].into_iter();
    let told: Vec<&str> = told.chain(PHASES.iter().map(|(_, reason, _)| *reason)).chain(conditions).collect();
    assert_eq!(documented, told);
}

fn object(version: &str, phase: &str) -> Value {
    json!({
        "apiVersion": "dr.openova.io/v1", "kind": "Continuum",
        "metadata": { "namespace": "shop", "name": "shop", "uid": "u", "resourceVersion": version },
        "status": status(phase, &[]),
    })
}

fn queue(counts: &Counts) -> KubeEvents {
    KubeEvents::new("pod".into(), counts.clone(), Arc::new(SystemClock::new()))
}

#[tokio::test]
async fn an_event_is_of_the_continuum_and_has_a_name_that_follows_from_what_it_tells() {
    let told = || {
        let events = queue(&Counts::default());
        events.changed(&object("1", "Healthy"), &object("2", "Degraded"));
        events.waiting().pop_front().unwrap()
    };
    let event = told();
    let regarding = event.regarding.clone().unwrap();
    assert_eq!((regarding.kind.as_deref(), regarding.uid.as_deref()), (Some("Continuum"), Some("u")));
    assert_eq!((event.reason.as_deref(), event.type_.as_deref()), (Some("PhaseDegraded"), Some("Warning")));
    assert_eq!(event.metadata.namespace.as_deref(), Some("shop"));
    assert_eq!(event.metadata.name, told().metadata.name, "another replica tells the same");
}

#[tokio::test]
async fn a_full_queue_loses_the_oldest_and_counts_them() {
    let counts = Counts::default();
    let events = queue(&counts);
    for version in 0..WAITING_MAX + 3 {
        events.changed(&object("0", "Healthy"), &object(&version.to_string(), "Degraded"));
    }
    assert_eq!((events.waiting().len(), counts.events()[&Written::Dropped]), (WAITING_MAX, 3));
    let oldest = events.waiting().pop_front().unwrap().regarding.unwrap().resource_version;
    assert_eq!(oldest.as_deref(), Some("3"));
}

/// An API server that refuses the first, takes the second, has the third already, and is then silent.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_counted_given_up_and_holds_up_nobody() {
    let asked = Arc::new(Mutex::new(0));
    let count = asked.clone();
    let server = service_fn(move |request: Request<Body>| {
        let number = {
            let mut count = count.lock().unwrap();
            *count += 1;
            *count
        };
        async move {
            assert_eq!(request.uri().path(), "/apis/events.k8s.io/v1/namespaces/shop/events");
            let code = match number {
                1 => 403,
                2 => 201,
                3 => 409,
                _ => std::future::pending().await,
            };
            let body = match code {
                201 => json!({ "eventTime": null, "metadata": {} }),
                _ => json!({ "status": "Failure", "code": code, "reason": "no", "message": "no" }),
            };
            let answer = Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).unwrap();
            Ok::<_, BoxError>(answer)
        }
    });
    let counts = Counts::default();
    let events = queue(&counts);
    for version in 0..5 {
        events.changed(&object("0", "Healthy"), &object(&version.to_string(), "Degraded"));
    }
    let client = Client::new(server, "default");
    let writes = events.write(client);
    assert!(tokio::time::timeout(LIMIT * 3, writes).await.is_err(), "it goes on for ever");
    assert_eq!(*asked.lock().unwrap(), 5, "each was sent once");
    let events = counts.events();
    assert_eq!((events[&Written::Done], events[&Written::Failed], events[&Written::Dropped]), (2, 3, 0));
}

#[test]
fn a_note_is_cut_between_characters() {
    assert_eq!(cut("fsn → hel".into(), 5), "fsn ");
    assert_eq!(cut("short".into(), 5), "short");
    let long = Notice { severity: Severity::Normal, reason: STARTED, action: "Switchover", note: "→".repeat(1000) };
    let event = event(&object("1", "Healthy"), long, &micro_time(Timestamp::UNIX_EPOCH), "pod");
    assert_eq!(event.note.unwrap().len(), 1023);
}
