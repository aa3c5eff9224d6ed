//! The collector of spans. Its variables are those that OpenTelemetry names, with the meaning that they have there:
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>

use super::{HttpPlace, Reader, http_place};
use crate::config::{Headers, Mistake, SpansConfig};
use crate::https::Scheme;
use http::{HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use std::path::PathBuf;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
/// That of `http`: the variable's own text has no other for a URL without one.
const HTTP_PORT: u16 = 80;
/// What goes behind the endpoint's own path.
const SIGNAL: &str = "/v1/traces";
/// Those that say how a request is to be read.
const OURS: [&str; 6] = ["content-type", "content-length", "host", "user-agent", "transfer-encoding", "connection"];

impl Reader<'_> {
    /// The inner `None`: not set.
    pub(super) fn spans(&mut self) -> Option<Option<SpansConfig>> {
        let ca = self.values.filled(CERTIFICATE).map(PathBuf::from);
        let Some(url) = self.values.filled(ENDPOINT) else {
            if ca.is_some() {
                self.wrong(CERTIFICATE, format!("it is for the server of {ENDPOINT}, which is not set"));
            }
            if self.values.filled(HEADERS).is_some() {
                let cure = "it is for the server of OTEL_EXPORTER_OTLP_ENDPOINT, which is not set";
                self.mistakes.0.push(Mistake::WrongSecret { name: HEADERS, cure });
            }
            return Some(None);
        };
        let headers = self.headers();
        let Some((mut place, path)) = endpoint(url) else {
            let cure = "write http://host:port or https://host:port, with a path where the collector has one before \
                        /v1/traces, and nothing after it; credentials stand in OTEL_EXPORTER_OTLP_HEADERS";
            // Where there is one of these, a password may be there too.
            match url.contains(['@', '?']) {
                true => self.mistakes.0.push(Mistake::WrongSecret { name: ENDPOINT, cure }),
                false => self.wrong(ENDPOINT, cure),
            }
            return None;
        };
        match &mut place.scheme {
            Scheme::Https(of) => *of = ca,
            Scheme::Http if ca.is_some() => {
                let cure = format!("it is for a server that speaks TLS; write https:// in {ENDPOINT}, or leave it out");
                self.wrong(CERTIFICATE, cure);
                return None;
            }
            Scheme::Http => {}
        }
        let service = self.values.filled("OTEL_SERVICE_NAME").unwrap_or("continuum-controller").to_owned();
        let HttpPlace { scheme, host, port } = place;
        Some(Some(SpansConfig { scheme, host, port, path, headers: headers?, service }))
    }

    /// `name=value` with commas between, values percent-encoded where they need it.
    fn headers(&mut self) -> Option<Headers> {
        let text = self.values.filled(HEADERS).unwrap_or_default();
        let named = text.split(',').map(str::trim).filter(|one| !one.is_empty());
        let headers: Option<Vec<(String, String)>> = named.map(header).collect();
        let cure = match headers {
            Some(headers) if headers.iter().all(|(name, _)| !OURS.contains(&name.as_str())) => {
                return Some(Headers(headers));
            }
            Some(_) => "it sets a header that this process sets by itself; take it out",
            None => {
                "write name=value, several with commas between; a comma, a space or a percent sign in a value is percent-encoded"
            }
        };
        self.mistakes.0.push(Mistake::WrongSecret { name: HEADERS, cure });
        None
    }
}

/// A server, and the path before the protocol's.
fn endpoint(url: &str) -> Option<(HttpPlace, String)> {
    let url: Uri = url.parse().ok().filter(|_| !url.contains('#'))?;
    let path = url.path().trim_end_matches('/').to_owned();
    if url.query().is_some() || path.ends_with(SIGNAL) {
        return None;
    }
    let server = Uri::builder().scheme(url.scheme_str()?).authority(url.authority()?.as_str()).path_and_query("/");
    Some((http_place(&server.build().ok()?, HTTP_PORT)?, path))
}

fn header(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
    let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
    HeaderValue::from_str(&value).ok().filter(|_| !value.is_empty())?;
    Some((name.as_str().to_owned(), value.into_owned()))
}
