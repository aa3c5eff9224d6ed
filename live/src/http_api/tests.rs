use super::*;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use continuum_core::plan::{InvalidPlan, short_hash};
use continuum_core::report::{DryRunStep, ExecuteResult, HealthCheck};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt;

/// Serves `shop/shop`, and `coming` in a moment; `shop/broken`, whose resource cannot be read; and `shop/large`, whose status is long.
pub(super) struct Served;

struct Fixed {
    name: String,
}

impl Directory for Served {
    fn find(&self, continuum: &ObjectName) -> Option<Arc<dyn Operations>> {
        let (namespace, name) = (continuum.namespace.as_str(), continuum.name.as_str());
        (namespace == "shop" && ["shop", "broken", "large"].contains(&name))
            .then(|| Arc::new(Fixed { name: name.to_owned() }) as Arc<dyn Operations>)
    }

    fn may_come(&self, continuum: &ObjectName) -> bool {
        continuum.name == "coming"
    }
}

/// Tells what was asked for.
fn fingerprint(to: &str, reason: Option<&str>) -> String {
    short_hash(format!("{to}/{}", reason.unwrap_or("-")).as_bytes())
}

fn step(step: u8) -> DryRunStep {
    let name = continuum_core::steps::name(step).to_owned();
    DryRunStep { step, name, preconditions_met: true, estimated_duration_seconds: 1, notes: Vec::new() }
}

#[async_trait]
impl Operations for Fixed {
    async fn dry_run(&self, to: &Region, reason: Option<&str>) -> Result<DryRunReport, OperationError> {
        let operation = "dry-run";
        if to.as_str() == "fsn" {
            return Err(OperationError::InvalidPlan { operation, source: InvalidPlan::SameRegion(to.clone()) });
        }
        if let Some(seconds) = reason.and_then(|reason| reason.strip_prefix("takes ")) {
            tokio::time::sleep(Duration::from_secs(seconds.parse().unwrap())).await;
        }
        Ok(DryRunReport {
            plan_fingerprint: fingerprint(to.as_str(), reason),
            steps: (1..=7).map(step).collect(),
            warnings: Vec::new(),
            blockers: Vec::new(),
            estimated_duration_seconds: 24,
            estimated_write_disruption_seconds: 14,
            generated_at: Timestamp::UNIX_EPOCH,
        })
    }

    async fn last_health(&self) -> Result<HealthReport, OperationError> {
        let (operation, region) = ("health", Region::new("fsn"));
        if self.name == "large" {
            let check =
                |name: &str| HealthCheck { name: name.into(), passed: true, detail: String::new(), deferred: false };
            return Ok(HealthReport {
                new_primary_region: region,
                checks: ["replicas-healthy", "dns-probes", "latency-normal", "audit-posted"].map(check).into(),
                overall_healthy: true,
                generated_at: Timestamp::UNIX_EPOCH,
            });
        }
        Err(if self.name == "broken" {
            OperationError::Unreadable { operation, region, cause: "403 Forbidden".into() }
        } else {
            OperationError::Cancelled { operation }
        })
    }

    async fn switchover(&self, to: &Region, order: &ExecuteOrder) -> Result<Begun, OperationError> {
        let report = |result: ExecuteResult, error: &str| {
            let report = json!({
                "result": result, "error": error, "planFingerprint": "0", "from": "fsn", "to": "hel", "completedSteps": [],
                "failedAtStep": 0, "startedAt": Timestamp::UNIX_EPOCH, "finishedAt": Timestamp::UNIX_EPOCH,
            });
            Ok(Begun::Report(Box::new(serde_json::from_value(report).unwrap())))
        };
        match order.reason.as_deref() {
            Some("blocked") => report(ExecuteResult::Refused, "step-1 (validate-lease): no"),
            Some("unknown") => report(ExecuteResult::Unknown, "the witness is silent"),
            _ => self.dry_run(to, None).await.and_then(|_| report(ExecuteResult::AlreadyThere, "")),
        }
    }

    async fn failback(&self, order: &ExecuteOrder) -> Result<Begun, OperationError> {
        self.switchover(&Region::new("hel"), order).await
    }

    async fn answer_failback(&self, id: &str, answer: &FailbackAnswer) -> Result<(), NotTaken> {
        match (id, answer) {
            ("1", FailbackAnswer::Approve(by)) if by == "jane" => Ok(()),
            ("1", FailbackAnswer::Refuse) => Ok(()),
            _ => Err(NotTaken::Stale(format!("no failback waits, so {id} does not"))),
        }
    }

    async fn abort(&self, id: &str) -> Result<(), NotTaken> {
        if id == "1" { Ok(()) } else { Err(NotTaken::Unread("no answer in 3 s".into())) }
    }

    async fn status(&self) -> Result<Value, OperationError> {
        if self.name == "large" {
            return Ok(json!({ "phase": "x".repeat(10_000) }));
        }
        Ok(json!({ "phase": "Healthy" }))
    }
}

const DRY_RUN: &str = "/v1/continuums/shop/shop/dry-run";
const HEALTH: &str = "/v1/continuums/shop/shop/health";
const OWNER: (&str, &str) = ("x-catalyst-owner-tier", "true");
const BEARER: (&str, &str) = ("authorization", "Bearer secret");

pub(super) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    /// Its one line for people.
    fn error(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        body["error"].as_str().unwrap().to_owned()
    }
}

pub(super) fn ask(verb: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    let mut request = Request::builder().method(Method::from_bytes(verb.as_bytes()).unwrap()).uri(path);
    for (name, value) in headers {
        request = request.header(*name, HeaderValue::from_str(value).unwrap());
    }
    let request = request.body(body.into()).unwrap();
    let router = HttpApi::new(Arc::new(Served), Token::new("secret"), Limits::DEFAULT).router();
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        let response = router.oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let kind = parts.headers.get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap());
        openapi::tests::check(verb, path, parts.status.as_u16(), kind, std::str::from_utf8(&body).unwrap());
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    })
}

pub(super) fn owner(verb: &str, path: &str, body: &str) -> Answer {
    ask(verb, path, &[OWNER, BEARER], body.to_owned())
}

#[test]
fn a_dry_run_answers_its_report_whatever_else_the_body_says() {
    for body in [
        json!({ "toRegion": "hel", "reason": "drill" }),
        json!({ "targetRegion": "hel", "reason": "drill", "colour": "red" }),
    ] {
        let answer = ask("POST", DRY_RUN, &[OWNER, BEARER, ("content-type", "text/plain")], body.to_string());
        let report: DryRunReport = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, report.plan_fingerprint), (200, fingerprint("hel", Some("drill"))));
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    }
}

#[test]
fn nobody_is_let_in_without_the_tier_and_the_token_whatever_is_asked() {
    let wrong: [&[(&str, &str)]; 9] = [
        &[],
        &[OWNER],
        &[BEARER],
        &[("x-catalyst-owner-tier", "True"), BEARER],
        &[("x-catalyst-owner-tier", "true, true"), BEARER],
        &[OWNER, OWNER, BEARER],
        &[OWNER, ("authorization", "secret")],
        &[OWNER, ("authorization", "Bearer secret2")],
        &[OWNER, BEARER, BEARER],
    ];
    for headers in wrong {
        for (verb, path) in [
            ("POST", DRY_RUN),
            ("GET", DRY_RUN),
            ("GET", "/v1/none"),
            ("GET", "/v1/continuums//shop/health"),
            ("POST", "/healthz"),
            ("GET", "/healthz/"),
        ] {
            let answer = ask(verb, path, headers, "{}");
            assert_eq!(answer.status, 401, "{headers:?} {verb} {path}");
            assert_eq!(answer.error(), "credentials are missing or wrong");
            assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
        }
    }
    let answer = ask("POST", DRY_RUN, &[OWNER, ("authorization", "bearer secret")], r#"{"toRegion":"hel"}"#);
    assert_eq!(answer.status, 200, "the scheme's name has no case");
}

#[test]
fn what_is_wrong_is_said_in_order() {
    let cases = [
        ("GET", "/", "{}", 404),
        ("GET", "/v1/continuums/shop/shop", "{}", 404),
        ("GET", "/v1/continuums/shop/shop/health/", "{}", 404),
        ("GET", "/v1/continuums/shop/shop/report", "{}", 404),
        ("GET", "/v1/continuums//shop/report", "{}", 404),
        ("PUT", "/v1/continuums//shop/health", "{}", 400),
        ("GET", "/v1/continuums/shop//dry-run", "{}", 400),
        ("GET", "/v1/continuums/%FF/shop/health", "", 400),
        ("POST", "/v1/continuums/shop/%FF/dry-run", r#"{"toRegion":"hel"}"#, 400),
        ("GET", "/v1/continuums/shop/a%0Ab/health", "", 404),
        ("OPTIONS", "*", "", 404),
        ("POST", "/healthz", "", 405),
        ("GET", DRY_RUN, "{}", 405),
        ("POST", HEALTH, "{}", 405),
        ("POST", "/v1/continuums/shop/none/dry-run", "{}", 400),
        ("POST", "/v1/continuums/shop/none/dry-run", r#"{"toRegion":"hel"}"#, 404),
        ("GET", "/v1/continuums/other/shop/health", "", 404),
        ("GET", "/v1/continuums/shop/coming/health", "", 503),
        ("POST", "/v1/continuums/shop/coming/abort", r#"{"id":"1"}"#, 503),
        ("POST", DRY_RUN, "{}", 400),
        ("POST", DRY_RUN, "{", 400),
        ("POST", DRY_RUN, r#"{"toRegion":7}"#, 400),
        ("POST", DRY_RUN, r#"{"toRegion":"fsn"}"#, 400),
        ("GET", "/v1/continuums/shop/broken/health", "", 500),
    ];
    for (verb, path, body, status) in cases {
        let answer = owner(verb, path, body);
        assert_eq!(answer.status, status, "{verb} {path} {body}: {}", answer.body);
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json", "{verb} {path}");
        assert!(!answer.error().contains('\n') && !answer.error().is_empty());
        assert_eq!(answer.headers.contains_key(header::ALLOW), status == 405, "{verb} {path}");
    }
    assert!(owner("POST", DRY_RUN, "{}").error().contains("toRegion"));
    let health = owner("GET", "/v1/continuums/shop/large/health", "");
    assert!(health.status == 200 && health.body.contains(r#""overallHealthy":true"#), "{}", health.body);
    assert!(owner("GET", "/v1/continuums/shop/coming/health", "").headers.contains_key(header::RETRY_AFTER));
    assert_eq!(
        owner("GET", "/v1/continuums/shop/broken/health", "").error(),
        "health: the Continuum in fsn cannot be read: 403 Forbidden"
    );
}

#[test]
fn an_order_is_accepted_or_it_is_said_why_not() {
    let at = |path: &str| format!("/v1/continuums/shop/shop/{path}");
    let cases = [
        ("switchover", json!({ "toRegion": "hel" }), 200),
        ("switchover", json!({ "targetRegion": "hel", "reason": "blocked" }), 409),
        ("switchover", json!({ "toRegion": "hel", "reason": "unknown" }), 503),
        ("switchover", json!({ "toRegion": "fsn" }), 400),
        ("switchover", json!({ "reason": "drill" }), 400),
        ("failback/approve", json!({ "id": "1", "approvedBy": "jane" }), 202),
        ("failback/approve", json!({ "id": "2", "approvedBy": "jane" }), 409),
        ("failback/approve", json!({ "approvedBy": "jane" }), 400),
        ("failback/refuse", json!({ "id": "1" }), 202),
        ("abort", json!({ "id": "1" }), 202),
        ("abort", json!({ "id": "2" }), 503),
    ];
    for (path, body, status) in cases {
        let answer = owner("POST", &at(path), &body.to_string());
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.body);
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json", "{path}");
        if status == 202 {
            assert_eq!(answer.body, r#"{"id":"1"}"#, "{path}");
        }
        assert_eq!(owner("GET", &at(path), "").status, 405, "{path}");
        assert_eq!(owner("POST", &format!("/v1/continuums//shop/{path}"), "").status, 400, "{path}");
        assert_eq!(ask("POST", &at(path), &[OWNER], body.to_string()).status, 401, "{path}");
    }
    let refused = owner("POST", &at("switchover"), r#"{"toRegion":"hel","reason":"blocked"}"#);
    assert_eq!(refused.error(), "step-1 (validate-lease): no");
    assert_eq!(owner("GET", &at("status"), "").body, r#"{"phase":"Healthy"}"#);
}

#[test]
fn a_body_is_an_object_and_nothing_else() {
    for path in CALLS.into_iter().filter(|call| !["health", "status"].contains(call)) {
        for body in ["[]", r#"["1"]"#, r#"["1","jane"]"#, "[null,null]", "null", "1", r#""hel""#] {
            let answer = owner("POST", &format!("/v1/continuums/shop/shop/{path}"), body);
            assert_eq!(answer.status, 400, "{path} {body}: {}", answer.body);
        }
    }
}

#[test]
fn a_body_over_the_limit_is_not_read() {
    let longest = format!(r#"{{"toRegion":"hel","reason":"{}"}}"#, "x".repeat(BODY_LENGTH_MAX));
    let answer = owner("POST", DRY_RUN, &longest);
    assert_eq!((answer.status, answer.error().as_str()), (413, "the body is longer than 64 KiB"));
    let padded = format!("{}{}", r#"{"toRegion":"hel"}"#, " ".repeat(BODY_LENGTH_MAX - 18));
    assert_eq!(owner("POST", DRY_RUN, &padded).status, 200);
}

#[test]
fn problem_details_are_given_to_who_accepts_them() {
    for (accept, kind) in [
        ("application/problem+json", "application/problem+json"),
        ("application/json, application/problem+json;q=0.9", "application/problem+json"),
        ("application/problem+json;q=0", "application/json"),
        ("*/*", "application/json"),
    ] {
        let answer = ask("GET", "/v1/none", &[OWNER, BEARER, ("accept", accept)], "");
        assert_eq!((answer.status, answer.headers[header::CONTENT_TYPE].to_str().unwrap()), (404, kind), "{accept}");
        assert_eq!(answer.error(), "no such path");
    }
    let answer = ask("GET", "/v1/none", &[("accept", "application/problem+json")], "");
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    let error = "credentials are missing or wrong";
    assert_eq!(body, json!({ "title": "Unauthorized", "status": 401, "detail": error, "error": error }));
}

#[test]
fn whether_it_is_alive_anybody_may_ask() {
    let answer = ask("GET", "/healthz", &[], "");
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    assert_eq!(ask("GET", "/healthz?verbose", &[], "").status, 200);
}

#[test]
fn head_is_answered_as_get_is_but_without_a_body_and_without_asking_anybody() {
    for (path, length) in [
        ("/healthz", Some("2")),
        // A health check that would fail: nobody makes one.
        ("/v1/continuums/shop/broken/health", None),
        ("/v1/continuums/shop/shop/status", None),
    ] {
        let answer = owner("HEAD", path, "");
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{path}");
        let told = answer.headers.get(header::CONTENT_LENGTH).map(|length| length.to_str().unwrap());
        assert_eq!(told, length, "{path}");
    }
    assert_eq!(ask("HEAD", "/healthz", &[], "").status, 200);
    for (path, status) in [
        ("/v1/none", 404),
        ("/v1/continuums/shop/none/health", 404),
        ("/v1/continuums/shop/coming/status", 503),
        ("/v1/continuums//shop/health", 400),
    ] {
        let (head, get) = (owner("HEAD", path, ""), owner("GET", path, ""));
        assert_eq!((head.status, head.body.as_str()), (status, ""), "{path}");
        let length = |answer: &Answer| answer.headers[header::CONTENT_LENGTH].to_str().unwrap().to_owned();
        assert_eq!((get.status, length(&head)), (status, get.body.len().to_string()), "{path}");
    }
    assert_eq!(ask("HEAD", HEALTH, &[], "").status, 401);
    let allowed = |verb, path| owner(verb, path, "").headers[header::ALLOW].to_str().unwrap().to_owned();
    assert_eq!((owner("HEAD", DRY_RUN, "").status, allowed("HEAD", DRY_RUN).as_str()), (405, "POST"));
    assert_eq!(allowed("POST", HEALTH), "GET,HEAD");
    assert_eq!(allowed("DELETE", "/healthz"), "GET,HEAD");
}

#[test]
fn an_empty_token_is_none_and_no_token_is_shown() {
    assert!(Token::new("").is_none());
    assert_eq!(format!("{:?}", Token::new("secret")), "Some(Token(..))");
}
