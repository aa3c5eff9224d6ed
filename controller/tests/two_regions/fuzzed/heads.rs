//! Heads, and the framing of bodies, that are wrong.

use super::kinds::{ORDER, Sent, call, owner, part, pick, refused, request, some, whole};
use fastrand::Rng;

/// Bytes that no part of a head may hold, and some that it may.
const STRANGE: &[u8] = b"\x00\x01\x07\x08\x0b\x0c\x1b\x7f\x80\xc3\xff\t \"(),/:;<=>?@[\\]{}%";

pub fn request_line(rng: &mut Rng) -> Sent {
    let (headers, path, body) = refused(rng);
    let mut line = match rng.u8(..16) {
        0 => String::new(),
        1 => "\r\n\r\n\r\n".into(),
        2 => format!("POST{path} HTTP/1.1"),
        3 => format!("POST  {path}  HTTP/1.1"),
        4 => format!(" POST {path} HTTP/1.1"),
        5 => format!("POST\t{path}\tHTTP/1.1"),
        6 => format!("POST {path} HTTP/1.1 HTTP/1.1"),
        7 => {
            format!("POST {path} {}", pick(rng, &["HTTP/9.9", "HTTP/2.0", "http/1.1", "HTTP/1", "HTTP/1.", "ICY/1.0"]))
        }
        8 => format!("POST {path}"),
        9 => "HTTP/1.1 200 OK".into(),
        10 => format!("{path} POST HTTP/1.1"),
        11 => format!("POST HTTP/1.1 {path}"),
        12 => format!("{} {path} HTTP/1.1", "POST".repeat(rng.usize(2..5000))),
        _ => format!("POST {path} HTTP/1.1"),
    }
    .into_bytes();
    // One that is right so far is not left so.
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(..=line.len());
        match rng.u8(..3) {
            0 => line.insert(at, pick(rng, STRANGE)),
            1 if at < line.len() => line[at] = pick(rng, STRANGE),
            _ => line.truncate(at),
        }
    }
    let end = pick(rng, &["\r\n", "\r\n", "\n", "\r", "\n\r"]);
    let rest = format!("{end}Host: c\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
    part(rng, [line, rest.into_bytes()].concat())
}

pub fn header(rng: &mut Rng) -> Sent {
    let (headers, path, body) = refused(rng);
    let strange = some(rng, STRANGE, 1);
    let line: Vec<u8> = match rng.u8(..16) {
        0 => b"X-Folded: a\r\n b\r\n\tc\r\n".into(),
        1 => b" X-Folded-First: a\r\n".into(),
        2 => b"X-Catalyst-Owner-Tier: tr\r\n ue\r\n".into(),
        3 => [b"X-Strange: a", &strange[..], b"b\r\n"].concat(),
        4 => [b"X-Str", &strange[..], b"ange: a\r\n"].concat(),
        5 => b"X-No-Colon\r\n".into(),
        6 => b"X-Space : a\r\n".into(),
        7 => b": nameless\r\n".into(),
        8 => b"X-Return: a\rb\r\n".into(),
        9 => b"X-Line: a\n\nb\r\n".into(),
        10 => "X-One-Of-Many: a\r\n".repeat(rng.usize(90..400)).into_bytes(),
        11 => b"Host: d\r\nHost: e\r\n".into(),
        12 => [b"Host: ", &some(rng, STRANGE, 9)[..], b"\r\n"].concat(),
        13 => {
            format!("Expect: {}\r\n", pick(rng, &["100-continue", "200-perhaps", "100-continue, 100-continue"])).into()
        }
        14 => b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n".into(),
        _ => b"Connection: keep-alive, close, upgrade\r\nUpgrade: websocket\r\nKeep-Alive: timeout=1000000\r\n".into(),
    };
    let start = format!("POST {path} HTTP/1.1\r\n{}", pick(rng, &["", "Host: c\r\n"]));
    let end = format!("{headers}Content-Length: {}\r\n\r\n{body}", body.len());
    part(rng, [start.as_bytes(), &line, end.as_bytes()].concat())
}

/// Two lengths, or none that is one; and behind the body an order of one who may give it.
pub fn lengths(rng: &mut Rng) -> Sent {
    const LENGTHS: &[&str] = &[
        "-1",
        "+22",
        "0x16",
        "22, 23",
        "22,22",
        "2 2",
        "22.0",
        "1e1",
        "",
        "99999999999999999999999",
        "18446744073709551615",
        "22;22",
        "\u{b2}",
        "nan",
        "022",
    ];
    const CODINGS: &[&str] = &[
        "chunked",
        "Chunked",
        "chunked, chunked",
        "identity",
        "xchunked",
        "chunked, gzip",
        "gzip, chunked",
        " chunked",
        "\"chunked\"",
        "chunked;q=1",
        "",
        "chunked\r\nTransfer-Encoding: identity",
    ];
    let (headers, path, body) = refused(rng);
    let length = |rng: &mut Rng| format!("Content-Length: {}\r\n", pick(rng, LENGTHS));
    let coding = |rng: &mut Rng| format!("Transfer-Encoding: {}\r\n", pick(rng, CODINGS));
    let right = format!("Content-Length: {}\r\n", body.len());
    let framing = match rng.u8(..6) {
        0 => length(rng),
        1 => right + &length(rng),
        2 => length(rng) + &right,
        3 => right + &coding(rng),
        4 => coding(rng) + &right,
        _ => coding(rng) + &length(rng),
    };
    let version = pick(rng, &["1.1", "1.1", "1.0"]);
    let body = if rng.bool() { format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()) } else { body.to_owned() };
    let first = format!("POST {path} HTTP/{version}\r\nHost: c\r\n{headers}{framing}\r\n{body}");
    let second = request("POST", &call("switchover"), &owner(), ORDER);
    part(rng, [first.into_bytes(), second].concat())
}

pub fn chunks(rng: &mut Rng) -> Sent {
    let (headers, path, body) = refused(rng);
    let size = format!("{:x}", body.len());
    let extension = "x".repeat(rng.usize(1..60_000));
    let chunks = match rng.u8(..14) {
        0 => format!("-{size}\r\n{body}\r\n0\r\n\r\n"),
        1 => format!("0x{size}\r\n{body}\r\n0\r\n\r\n"),
        2 => format!("{size}g\r\n{body}\r\n0\r\n\r\n"),
        3 => format!("fffffffffffffffff\r\n{body}\r\n0\r\n\r\n"),
        4 => format!("ffffffffffffffff\r\n{body}"),
        5 => format!("{size}\r\n{body}0\r\n\r\n"),
        6 => format!("{size}\n{body}\n0\n\n"),
        7 => format!("{size};{extension}\r\n{body}\r\n"),
        8 => format!("{size}\r\n{body}\r\n0\r\nX-Trailer\r\n\r\n"),
        9 => format!("{size}\r\n{body}\r\n0\r\n{}", "X-Trailer: a\r\n".repeat(rng.usize(1..3000))),
        10 => format!("\r\n{size}\r\n{body}\r\n0\r\n\r\n"),
        11 => format!(" {size}\r\n{body}\r\n"),
        12 => format!("{size}\r\n{body}\r\n"),
        _ => body.chars().map(|one| format!("1\r\n{one}\r\n")).collect(),
    };
    let head = format!("POST {path} HTTP/1.1\r\nHost: c\r\n{headers}Transfer-Encoding: chunked\r\n\r\n");
    part(rng, [head, chunks].concat().into_bytes())
}

pub fn long(rng: &mut Rng) -> Sent {
    let (headers, path, body) = refused(rng);
    let length = 1 << rng.u32(12..20);
    let long = "x".repeat(rng.usize(length / 2..length));
    let bytes = match rng.u8(..5) {
        0 => request("POST", &format!("{path}?{long}"), &headers, body),
        1 => request("POST", &format!("/v1/continuums/shop/{long}/dry-run"), &headers, body),
        2 => request("POST", &format!("/{}", "a/".repeat(long.len() / 2)), &headers, body),
        3 => request("POST", &path, &format!("X-Long: {long}\r\n{headers}"), body),
        _ => request("POST", &path, &format!("{headers}{}", "X-A: b\r\n".repeat(long.len() / 8)), body),
    };
    part(rng, bytes)
}

pub fn path(rng: &mut Rng) -> Sent {
    const SEGMENTS: &[&str] = &[
        "",
        ".",
        "..",
        "%",
        "%2",
        "%zz",
        "%2e%2e",
        "%2F",
        "%5C",
        "%00",
        "%0d%0a",
        "%FF",
        "%C0%AE",
        "%u0041",
        "\\",
        "..\\",
        ";a=b",
        "~",
        "*",
        "{namespace}",
        "<b>",
        "`",
        "|",
        "^",
        "é",
        "\u{202e}",
        "shop",
        "Shop",
        "shop.",
        "shop%20",
        "healthz",
        "v1",
        "continuums",
        "a:b",
        "@",
    ];
    const WHOLE: &[&str] = &[
        "*",
        "c:80",
        "http://",
        "http:///v1",
        "https://[::1/v1",
        "//",
        "///",
        "http://c",
        "http://a@c/v1/none",
        "ftp://c/v1",
        "?",
        "v1",
        "/%",
        "http://c/v1/continuums/shop/shop/dry-run",
        "http://other.example:1/v1/continuums/shop/shop/switchover",
        "//c/v1",
        "/?/v1",
        "..",
    ];
    let segments = |rng: &mut Rng, count: usize| (0..count).map(|_| pick(rng, SEGMENTS)).collect::<Vec<_>>().join("/");
    let path = match rng.u8(..8) {
        0 => pick(rng, WHOLE).to_owned(),
        1 | 2 => format!("/v1/continuums/{}/dry-run", segments(rng, 2)),
        3 => format!("/v1/continuums/shop/shop/{}/switchover", segments(rng, 1)),
        4 => format!("/v1/continuums/shop/{}/../shop/failback", segments(rng, 1)),
        5 => format!("/{}/v1/continuums/shop/shop/abort", segments(rng, 1)),
        6 => format!("/healthz/{}", segments(rng, 2)),
        _ => {
            let count = rng.usize(1..9);
            format!("/{}", segments(rng, count))
        }
    };
    // Of a failback this is no body, and of what is about an id neither.
    whole(request("POST", &path, &owner(), r#"{"toRegion":"nowhere","requestedBy":1}"#))
}

pub fn other_protocol(rng: &mut Rng) -> Sent {
    let path = call("status");
    let bytes: Vec<u8> = match rng.u8(..9) {
        0 => format!("GET {path}\r\n").into(),
        1 => format!("GET {path}\r\n\r\n").into(),
        2 => b"GET /healthz\r\n".into(),
        3 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00".into(),
        // The start of a TLS handshake.
        4 => [b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03", &some(rng, STRANGE, 196)[..]].concat(),
        5 => b"SSH-2.0-client\r\n".into(),
        6 => b"*1\r\n$4\r\nPING\r\n".into(),
        7 => b"EHLO c\r\n".into(),
        _ => {
            let count = rng.usize(1..3000);
            (0..count).map(|_| rng.u8(..)).collect()
        }
    };
    part(rng, bytes)
}
