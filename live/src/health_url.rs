//! Asks the URL of a health check as PowerDNS's `ifurlup` does: at an address, under the URL's own host name.
//!
//! Deliberately absent: redirects (what they lead to is not the address that is asked for), and TLS, which says
//! nothing about what the DNS server would accept.

use crate::http_client::{Connect, HttpClient, told};
use continuum_core::observe::Seen;
use http::{Method, Uri};
use std::net::IpAddr;
use std::sync::Arc;

/// Port of a URL that names none.
const HTTP_PORT: u16 = 80;

/// The status code that `url` gives at `address`.
pub(crate) async fn ask(connect: &Connect, user_agent: &str, url: &str, address: IpAddr) -> Seen<u16> {
    let parsed: Uri = match url.parse() {
        Ok(parsed) => parsed,
        Err(error) => return Seen::Unknown(format!("not a URL: {error}")),
    };
    let (Some("http"), Some(host)) = (parsed.scheme_str(), parsed.host()) else {
        return Seen::Unknown("only an http:// URL can be asked beforehand".into());
    };
    let there = connect.clone();
    let client = HttpClient {
        connect: Arc::new(move |_, port| there(&address.to_string(), port)),
        host: host.to_owned(),
        port: parsed.port_u16().unwrap_or(HTTP_PORT),
        user_agent: user_agent.to_owned(),
    };
    let path = parsed.path_and_query().map_or("/", |path| path.as_str());
    match client.send(Method::GET, path, &[], Vec::new()).await {
        Ok(answer) => Seen::Is(answer.status),
        Err(error) => Seen::Unknown(told(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::byte_stream::ByteStream;
    use std::sync::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    /// Where somebody connected to, and the request.
    type Asked = Arc<Mutex<(String, u16, String)>>;

    /// A server that answers so, and what it was asked.
    fn server(answer: &'static str) -> (Connect, Asked) {
        let asked = Asked::default();
        let log = asked.clone();
        let connect: Connect = Arc::new(move |host: &str, port: u16| {
            let (mut server, client) = duplex(4096);
            let (log, host) = (log.clone(), host.to_owned());
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let length = server.read(&mut request).await.unwrap();
                *log.lock().unwrap() = (host, port, String::from_utf8_lossy(&request[..length]).into_owned());
                server.write_all(answer.as_bytes()).await.unwrap();
            });
            Box::pin(async move { Ok(Box::new(client) as Box<dyn ByteStream>) })
        });
        (connect, asked)
    }

    #[tokio::test]
    async fn the_address_is_asked_under_the_urls_own_name() {
        let (connect, asked) = server("HTTP/1.1 204 No Content\r\n\r\n");
        let address = "10.2.0.1".parse().unwrap();
        assert_eq!(ask(&connect, "continuum", "http://shop.example.org/healthz?deep=1", address).await, Seen::Is(204));
        let (host, port, request) = asked.lock().unwrap().clone();
        assert_eq!((host.as_str(), port), ("10.2.0.1", 80));
        assert!(request.starts_with("GET /healthz?deep=1 HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("host: shop.example.org:80\r\n"), "{request}");
    }

    #[tokio::test]
    async fn a_redirect_is_the_answer_and_tls_is_not_asked() {
        let (connect, asked) = server("HTTP/1.1 302 Found\r\nlocation: http://10.1.0.1/\r\ncontent-length: 0\r\n\r\n");
        let address = "10.2.0.1".parse().unwrap();
        assert_eq!(ask(&connect, "continuum", "http://shop.example.org:8080/", address).await, Seen::Is(302));
        assert_eq!(asked.lock().unwrap().1, 8080);
        let seen = ask(&connect, "continuum", "https://shop.example.org/", address).await;
        assert!(matches!(seen, Seen::Unknown(_)), "{seen:?}");
    }
}
