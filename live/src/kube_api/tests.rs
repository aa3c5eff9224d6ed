//! What the answers of an API server mean.

use super::*;
use crate::test_server::{server, status};

fn shop() -> ObjectName {
    ObjectName::new("shop", "shop-hel")
}

async fn failure(answer: (u16, Value)) -> KubeError {
    let (api, _) = server([answer]);
    api.patch(&CLUSTERS, &shop(), None, &json!({}), None).await.unwrap_err()
}

#[tokio::test]
async fn what_was_refused_conflicted_or_left_in_doubt_is_told_apart() {
    let cases = [
        (400, "Refused"),
        (403, "Refused"),
        (404, "Refused"),
        (408, "Unknown"),
        (409, "NotApplied"),
        (422, "Refused"),
        (429, "NotApplied"),
        (500, "Unknown"),
        (503, "Unknown"),
        (504, "Unknown"),
    ];
    for (code, expected) in cases {
        let outcome = failure(status(code, "Reason", "why")).await.outcome::<()>();
        assert!(format!("{outcome:?}").starts_with(expected), "{code} gave {outcome:?}");
    }
}

#[tokio::test]
async fn a_compare_and_set_is_a_conflict_only_where_another_version_stands() {
    let cases = [(409, "Conflict"), (422, "Refused"), (403, "Refused"), (429, "Unknown"), (500, "Unknown")];
    for (code, expected) in cases {
        let cas = failure(status(code, "Reason", "why")).await.cas();
        assert!(format!("{cas:?}").starts_with(expected), "{code} gave {cas:?}");
    }
}

#[tokio::test]
async fn a_cause_names_verb_kind_and_place() {
    let error = failure(status(403, "Forbidden", "clusters is forbidden")).await;
    assert_eq!(error.text(), "PATCH clusters in hel: 403 clusters is forbidden");
}

#[tokio::test]
async fn an_object_is_missing_only_where_the_server_says_so_of_the_object() {
    let seen = failure(status(404, "NotFound", "clusters \"shop-hel\" not found")).await.seen::<()>();
    assert_eq!(seen, Seen::Missing);
    let unserved = failure((404, json!("404 page not found\n"))).await.seen::<()>();
    assert_eq!(
        unserved,
        Seen::Unknown(
            "PATCH clusters in hel: 404 it has no such kind: is clusters.postgresql.cnpg.io installed?".into()
        )
    );
}

#[tokio::test]
async fn a_success_that_cannot_be_read_leaves_the_write_in_doubt() {
    assert!(matches!(failure((200, json!("<html>"))).await.outcome::<()>(), Outcome::Unknown(_)));
}

#[tokio::test]
async fn a_server_that_was_never_reached_applied_nothing() {
    let refuse = tower::service_fn(|_: http::Uri| async {
        Err::<hyper_util::rt::TokioIo<tokio::net::TcpStream>, _>(std::io::Error::from(
            std::io::ErrorKind::ConnectionRefused,
        ))
    });
    let base = "http://api.hel:80".parse().unwrap();
    let limits = crate::kube_transport::Limits::REQUESTS;
    let executor = hyper_util::rt::TokioExecutor::new();
    let client = crate::kube_transport::plain_client(base, crate::kube_transport::USER_AGENT, limits, refuse, executor);
    let error =
        KubeApi::new(Access::new(client), "hel").patch(&CLUSTERS, &shop(), None, &json!({}), None).await.unwrap_err();
    let Outcome::NotApplied(cause) = error.outcome::<()>() else { panic!("{error:?}") };
    assert!(cause.starts_with("PATCH clusters in hel: no connection"), "{cause}");
    assert!(cause.ends_with("connection refused"), "{cause}");
}

#[tokio::test]
async fn the_server_is_told_when_to_give_up() {
    let (api, log) = server([(200, json!({})), (200, json!({}))]);
    for limit in [5_000, 1_500] {
        let limit = Some(Duration::from_millis(limit));
        api.patch(&CLUSTERS, &shop(), None, &json!({}), limit).await.unwrap();
    }
    let log = log.lock().unwrap();
    assert!(log[0].line.ends_with("&timeout=5s"), "{}", log[0].line);
    assert!(log[1].line.ends_with("&timeout=1500ms"), "{}", log[1].line);
}

#[test]
fn a_claim_whose_generation_is_no_number_is_not_taken_for_none() {
    let object = |generation: &str| {
        json!({ "metadata": { "namespace": "shop", "name": "shop-hel",
            "annotations": { GENERATION_ANNOTATION: generation, INTENT_ANNOTATION: "shop/shop/1.1/undo" } } })
    };
    let claim = Claim { generation: 7, intent: "shop/shop/1.1/undo".into() };
    assert_eq!(claim_of(&object("7")), Ok(Some(claim)));
    assert!(claim_of(&object("seven")).unwrap_err().contains("`\"seven\"`, not a number"));
    assert_eq!(claim_of(&json!({ "metadata": {} })), Ok(None));
}
