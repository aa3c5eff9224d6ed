//! Requests that HTTP takes, and the API does not.

use super::kinds::{NOWHERE, ORDER, Sent, call, owner, part, pick, refused, request, some, whole};
use crate::process::TOKEN;
use fastrand::Rng;

const CALLS: &[&str] = &["dry-run", "switchover", "failback", "failback/approve", "failback/refuse", "abort"];
/// The longest body that is read.
const LONGEST: usize = 64 * 1024;

pub fn oversized(rng: &mut Rng) -> Sent {
    let (headers, path, body) = refused(rng);
    let length = LONGEST + rng.usize(1..200_000);
    let long = body.to_owned() + &" ".repeat(length - body.len());
    let head = |framing: &str| format!("POST {path} HTTP/1.1\r\nHost: c\r\n{headers}{framing}\r\n\r\n");
    match rng.u8(..5) {
        0 => whole(request("POST", &path, &headers, long)),
        1 => {
            let told = pick(rng, &["1000000000000", "18446744073709551614"]);
            whole([head(&format!("Content-Length: {told}")), long].concat().into_bytes())
        }
        2 => {
            let sent = &long[..rng.usize(..LONGEST)];
            part(rng, [&head("Content-Length: 1000000000000"), sent].concat().into_bytes())
        }
        3 => {
            let mut bytes = head("Transfer-Encoding: chunked").into_bytes();
            let size = rng.usize(1000..40_000);
            for chunk in long.as_bytes().chunks(size) {
                bytes.extend([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
            }
            bytes.extend(b"0\r\n\r\n");
            whole(bytes)
        }
        // Beyond what was declared, which is a part of what would be an order.
        _ => {
            let declared = rng.usize(1..body.len());
            whole([head(&format!("Content-Length: {declared}")), long].concat().into_bytes())
        }
    }
}

/// What has a token, and a body that is none of the call's.
pub fn body(rng: &mut Rng) -> Sent {
    let what = pick(rng, CALLS);
    let field = match what {
        "dry-run" | "switchover" => "toRegion",
        "failback" => "requestedBy",
        _ => "id",
    };
    let wrong = pick(
        rng,
        &[
            "7",
            "-0",
            "1.5",
            "true",
            "[]",
            "[\"hel\"]",
            "{}",
            "{\"toRegion\":\"hel\"}",
            "1e999",
            "-1e999",
            "01",
            ".5",
            "NaN",
        ],
    );
    let deep = rng.usize(1..20_000);
    let digits = rng.usize(1..20_000);
    let body: Vec<u8> = match rng.u8(..24) {
        0 => Vec::new(),
        1 => " \r\n\t".into(),
        2 => "null".into(),
        3 => pick(rng, &["true", "7", "\"hel\"", "[]", "[\"hel\"]", "[null, null]", "[{}]"]).into(),
        4 => ORDER.replace('"', "'").into(),
        5 => format!("{ORDER}{ORDER}").into(),
        6 => format!("{ORDER},").into(),
        7 => ORDER[..rng.usize(1..ORDER.len())].into(),
        8 => [b"\xef\xbb\xbf", ORDER.as_bytes()].concat(),
        9 => ORDER.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        10 => [b"{\"", field.as_bytes(), b"\":\"h\xffl\"}"].concat(),
        11 => format!("{{\"{field}\":\"\\ud800\"}}").into(),
        12 => format!("{{\"{field}\":\"a\nb\0\"}}").into(),
        13 => format!("{{\"{field}\":{}{}}}", "[".repeat(deep), "]".repeat(deep)).into(),
        14 => format!("{{\"{field}\":{}1{}}}", "{\"a\":".repeat(deep / 5), "}".repeat(deep / 5)).into(),
        15 => "[".repeat(deep).into(),
        16 => format!("{{\"{field}\":{}1}}", "1".repeat(digits)).into(),
        17 => format!("{{\"{field}\":1,\"{field}\":2}}").into(),
        18 => format!("toRegion=hel&{field}=hel").into(),
        19 => format!("<toRegion>hel</toRegion><{field}/>").into(),
        20 => format!("--x\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\nhel\r\n--x--").into(),
        21 => {
            let count = rng.usize(1..3000);
            (0..count).map(|_| rng.u8(..)).collect()
        }
        _ => format!("{{\"{field}\":{wrong}}}").into(),
    };
    let kind = pick(rng, &["", "Content-Type: text/plain\r\n", "Content-Type: \r\n", "Content-Encoding: gzip\r\n"]);
    whole(request("POST", &call(what), &(owner() + kind), body))
}

pub fn verb(rng: &mut Rng) -> Sent {
    const VERBS: &[&str] = &[
        "PUT",
        "DELETE",
        "PATCH",
        "OPTIONS",
        "TRACE",
        "CONNECT",
        "PROPFIND",
        "QUERY",
        "get",
        "Post",
        "POSTED",
        "G",
        "M-SEARCH",
        "!#$&'*+-.^_`|~",
    ];
    if rng.bool() {
        let path = pick(rng, &["/healthz", "/openapi.json"]).to_owned();
        let path = if rng.bool() { path } else { call(pick(rng, &["health", "status"])) };
        let verb = if rng.u8(..4) == 0 { "POST" } else { pick(rng, VERBS) };
        return whole(request(verb, &path, &owner(), ORDER));
    }
    let verb = if rng.u8(..4) == 0 { "GET" } else { pick(rng, VERBS) };
    whole(request(verb, &call(pick(rng, CALLS)), &owner(), ORDER))
}

/// What would be done, of one who may not ask.
pub fn credentials(rng: &mut Rng) -> Sent {
    const TIER: &str = "X-Catalyst-Owner-Tier: true\r\n";
    const NO_TIERS: &[&str] = &[
        "",
        "X-Catalyst-Owner-Tier: True\r\n",
        "X-Catalyst-Owner-Tier: TRUE\r\n",
        "X-Catalyst-Owner-Tier: 1\r\n",
        "X-Catalyst-Owner-Tier:\r\n",
        "X-Catalyst-Owner-Tier: \"true\"\r\n",
        "X-Catalyst-Owner-Tier: true, true\r\n",
        "X-Catalyst-Owner-Tier: true;q=1\r\n",
        "X-Catalyst-Owner-Tier: false\r\nX-Catalyst-Owner-Tier: true\r\n",
        "X-Catalyst-Owner-Tier: true\r\nX-Catalyst-Owner-Tier: true\r\n",
        "X-Catalyst-Owner: true\r\n",
        "X_Catalyst_Owner_Tier: true\r\n",
        "X-Catalyst-Owner-Tiers: true\r\n",
        "Owner-Tier: true\r\n",
        "X-Catalyst-Owner-Tier: tru\u{e9}\r\n",
    ];
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    let cut = rng.usize(..TOKEN.len());
    let mut other = TOKEN.as_bytes().to_vec();
    other[cut] ^= 1;
    let other = String::from_utf8_lossy(&other).into_owned();
    let wrong = match rng.u8(..20) {
        0 => String::new(),
        1 => format!("Authorization: Bearer {}\r\n", &TOKEN[..cut]),
        2 => format!("Authorization: Bearer {}\r\n", &TOKEN[cut + 1..]),
        3 => format!("Authorization: Bearer {TOKEN}{}\r\n", pick(rng, &["a", "=", ",", "\u{e9}", " x"])),
        4 => format!("Authorization: Bearer {}\r\n", TOKEN.to_uppercase()),
        5 => format!("Authorization: Bearer  {TOKEN}\r\n"),
        6 => format!("Authorization: Bearer\t{TOKEN}\r\n"),
        7 => format!(
            "Authorization: {} {TOKEN}\r\n",
            pick(rng, &["Basic", "Token", "Digest", "Bearers", "Beare", "Bearer:", ""])
        ),
        8 => format!("Authorization: {TOKEN}\r\n"),
        9 => format!("Authorization: Bearer \"{TOKEN}\"\r\n"),
        10 => format!("{right}{right}"),
        11 => format!("Authorization: Bearer x\r\n{right}"),
        12 => format!("{right}Authorization: \r\n"),
        13 => format!("Proxy-{right}"),
        14 => format!("X-{right}"),
        15 => format!("Cookie: Authorization=Bearer {TOKEN}; token={TOKEN}\r\n"),
        16 => "Authorization: Bearer \r\n".into(),
        17 => format!("Authorization: Bearer {other}\r\n"),
        18 => format!("Authorization: Bearer x, Bearer {TOKEN}\r\n"),
        _ => format!("Authorization: Bearer {}\r\n", TOKEN.repeat(rng.usize(2..200))),
    };
    let (tier, bearer) = match rng.u8(..4) {
        0 => (pick(rng, NO_TIERS), right),
        1 => (pick(rng, NO_TIERS), wrong),
        // One who wrongs nothing else.
        _ => (TIER, if wrong == right { String::new() } else { wrong }),
    };
    let headers = if rng.bool() { format!("{tier}{bearer}") } else { format!("{bearer}{tier}") };
    let query = pick(rng, &["", "", "", &format!("?token={TOKEN}&access_token={TOKEN}")]).to_owned();
    match rng.u8(..4) {
        0 => whole(request("GET", &(call(pick(rng, &["health", "status"])) + &query), &headers, "")),
        1 => {
            let near = [
                "/healthz/",
                "//healthz",
                "/./healthz",
                "/healthz/..",
                "/healthz%20",
                "/healthz%00",
                "/Healthz",
                "/healthz;a",
                "/%68ealthz",
            ];
            let near = pick(rng, &near).to_owned();
            let path = if rng.bool() {
                near
            } else {
                pick(rng, &["/", "/openapi.json", "/metrics", "/v1/none", "/healthz/../v1/continuums/shop/shop/status"])
                    .to_owned()
            };
            whole(request("GET", &(path + &query), &headers, ""))
        }
        2 => {
            let verb = pick(rng, &["POST", "DELETE", "OPTIONS"]);
            whole(request(verb, &("/healthz".to_owned() + &query), &headers, ORDER))
        }
        _ => {
            // All that they need, and more.
            let body = r#"{"toRegion":"hel","id":"shop/shop/1.1"}"#;
            let key = pick(rng, &["", "Idempotency-Key: one\r\n", "Idempotency-Key: \r\n"]);
            whole(request("POST", &(call(pick(rng, CALLS)) + &query), &format!("{headers}{key}"), body))
        }
    }
}

/// What is well formed, of who may ask, about what is not.
pub fn plan(rng: &mut Rng) -> Sent {
    let text = String::from_utf8_lossy(&some(rng, b"helfsn-.%/ 0", 12)).into_owned();
    let fingerprint = format!("{:016x}", rng.u64(..));
    let owner = owner();
    match rng.u8(..12) {
        0 => whole(request("POST", &call("switchover"), &owner, NOWHERE)),
        1 => whole(request("POST", &call("dry-run"), &owner, r#"{"toRegion":"fsn "}"#)),
        2 => whole(request("POST", &call("switchover"), &owner, r#"{"toRegion":""}"#)),
        3 => whole(request("POST", &call("dry-run"), &owner, format!(r#"{{"targetRegion":"{text}"}}"#))),
        4 => whole(request("POST", &call("switchover"), &owner, format!(r#"{{"toRegion":"{}"}}"#, "hel".repeat(5000)))),
        // The plan that was confirmed is another one.
        5 if rng.u8(..4) == 0 => {
            let body = format!(r#"{{"toRegion":"hel","confirmedFingerprint":"{fingerprint}"}}"#);
            whole(request("POST", &call("switchover"), &owner, body))
        }
        5 => whole(request("POST", &call("switchover"), &owner, r#"{"toRegion":"HEL"}"#)),
        6 => {
            let about = pick(rng, &["failback/approve", "failback/refuse", "abort"]);
            let id = pick(rng, &["", "shop/shop/0.0", "shop/shop/1.1", "..", "\\u0000"]);
            whole(request("POST", &call(about), &owner, format!(r#"{{"id":"{id}"}}"#)))
        }
        7 => {
            let other = pick(
                rng,
                &[
                    "/v1/continuums/shop/none",
                    "/v1/continuums/none/shop",
                    "/v1/continuums/Shop/shop",
                    "/v1/continuums/shop/shop%20",
                ],
            );
            whole(request("POST", &format!("{other}/{}", pick(rng, CALLS)), &owner, r#"{"toRegion":"hel","id":"1"}"#))
        }
        8 => whole(request(
            "GET",
            &format!("/v1/continuums/shop/{}/status", pick(rng, &["none", "%00", "sho", "shops"])),
            &owner,
            "",
        )),
        9 => {
            let key = pick(
                rng,
                &["".to_owned(), "x".repeat(256), "a b".into(), "\u{e9}".into(), "one\r\nIdempotency-Key: two".into()],
            );
            // A space is no visible character, and the body is none either way.
            whole(request("POST", &call("switchover"), &format!("{owner}Idempotency-Key: {key}\r\n"), NOWHERE))
        }
        10 => {
            let key = format!("Idempotency-Key: {fingerprint}\r\n");
            whole(request("POST", &call(pick(rng, &["switchover", "dry-run"])), &format!("{owner}{key}"), NOWHERE))
        }
        _ => {
            whole(request("POST", &call("failback"), &owner, format!(r#"{{"confirmedFingerprint":"{fingerprint}"}}"#)))
        }
    }
}
