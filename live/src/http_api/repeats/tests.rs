use super::super::tests::Served;
use super::super::{Limits, Token};
use super::*;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::post;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tower::ServiceExt;

/// Answers each order with the status that its body names, and says how many there were before.
fn server() -> Router {
    let count = Arc::new(AtomicUsize::new(0));
    let order = async move |body: String| {
        let nth = count.fetch_add(1, Ordering::Relaxed);
        if body == "never" {
            std::future::pending::<()>().await;
        }
        let status = StatusCode::from_u16(body.parse().unwrap()).unwrap();
        match status.is_success() {
            true => (status, axum::Json(json!({ "nth": nth }))).into_response(),
            false => Problem::new(status, nth.to_string()).into_response(),
        }
    };
    let api = HttpApi::new(Arc::new(Served), Token::new("secret"), Limits::DEFAULT);
    let order = post(order);
    Router::new()
        .route("/order", order.clone())
        .route("/other", order)
        .route_layer(from_fn_with_state(api, once))
        .layer(axum::middleware::from_fn(super::super::answer::as_accepted))
}

async fn give(server: &Router, path: &str, keys: &[&str], body: &str) -> (u16, Value) {
    let mut request = Request::post(path);
    for key in keys {
        request = request.header(IDEMPOTENCY_KEY, *key);
    }
    let request = request.header(header::ACCEPT, "application/problem+json").body(Body::from(body.to_owned()));
    let response = server.clone().oneshot(request.unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let kind = if status < 300 { "application/json" } else { "application/problem+json" };
    assert_eq!(response.headers()[header::CONTENT_TYPE], kind);
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    (status, if status < 300 { body["nth"].clone() } else { body["error"].clone() })
}

#[tokio::test]
async fn what_was_taken_or_refused_is_answered_as_before() {
    let server = server();
    let cases = [("202", 202, json!(0)), ("200", 200, json!(1)), ("409", 409, json!("2"))];
    for (body, status, nth) in cases {
        for _ in 0..3 {
            assert_eq!(give(&server, "/order", &[body], body).await, (status, nth.clone()));
        }
    }
    assert_eq!(give(&server, "/other", &["202"], "202").await, (202, json!(3)), "a key is one of its call");
    assert_eq!(give(&server, "/order", &[], "202").await, (202, json!(4)), "an order without a key is a new one");
    assert_eq!(give(&server, "/order", &[], "202").await, (202, json!(5)));
}

#[tokio::test]
async fn what_may_have_come_of_nothing_is_carried_out_anew() {
    let server = server();
    for (nth, status) in [503, 500, 400, 404].into_iter().enumerate() {
        let body = status.to_string();
        assert_eq!(give(&server, "/order", &[&body], &body).await, (status, json!((2 * nth).to_string())));
        assert_eq!(give(&server, "/order", &[&body], &body).await, (status, json!((2 * nth + 1).to_string())));
    }
}

#[tokio::test]
async fn a_key_is_for_one_body() {
    let server = server();
    assert_eq!(give(&server, "/order", &["a"], "202").await, (202, json!(0)));
    assert_eq!(give(&server, "/order", &["a"], "200").await.0, 422);
    assert_eq!(give(&server, "/order", &["a"], "202").await, (202, json!(0)));
}

#[tokio::test(start_paused = true)]
async fn while_it_is_carried_out_it_is_not_begun_again_and_cut_off_it_is() {
    let server = server();
    let first = give(&server, "/order", &["a"], "never");
    let again = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        give(&server, "/order", &["a"], "never").await
    };
    let first = Box::pin(tokio::time::timeout(Duration::from_secs(2), first));
    let (first, (status, why)) = futures_util::future::join(first, again).await;
    assert!(first.is_err() && status == 409 && why.as_str().unwrap().contains("not answered yet"), "{why}");
    let anew = tokio::time::timeout(Duration::from_secs(2), give(&server, "/order", &["a"], "never"));
    assert!(anew.await.is_err(), "it is carried out anew");
}

#[tokio::test]
async fn a_key_is_one_and_can_be_read() {
    let server = server();
    for keys in [&["a", "a"][..], &[""], &["x".repeat(256).as_str()]] {
        assert_eq!(give(&server, "/order", keys, "202").await.0, 400, "{keys:?}");
    }
    assert_eq!(give(&server, "/order", &["x".repeat(255).as_str()], "202").await, (202, json!(0)));
}

#[tokio::test]
async fn the_oldest_answers_are_forgotten() {
    let server = server();
    for nth in 0..=ANSWERS_MAX {
        give(&server, "/order", &[&nth.to_string()], "202").await;
    }
    assert_eq!(give(&server, "/order", &["1"], "202").await, (202, json!(1)));
    assert_eq!(give(&server, "/order", &["0"], "202").await, (202, json!(ANSWERS_MAX + 1)));
}
