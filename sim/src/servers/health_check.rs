//! The health check of `ifurlup`: a GET at an address under the URL's host name. A plain 200 is up and nothing else;
//! a redirect is followed, also to another address (H51).
//!
//! Deliberately absent: TLS, and redirects to a name.

use crate::fabric::Net;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long a check may take (`timeout` of the record, by default).
const LIMIT: Duration = Duration::from_secs(2);

/// How many redirects are followed.
const REDIRECTS_MAX: u32 = 5;

/// Port of a URL that names none.
const HTTP_PORT: u16 = 80;

/// Whether the address is up.
pub(super) async fn is_up(net: &Net, url: &str, address: IpAddr) -> bool {
    tokio::time::timeout(LIMIT, follow(net, url, address)).await.is_ok_and(|up| up.is_ok_and(|up| up))
}

async fn follow(net: &Net, url: &str, mut address: IpAddr) -> io::Result<bool> {
    let mut url = url.to_owned();
    for _ in 0..=REDIRECTS_MAX {
        let Some((host, port, path)) = parts(&url) else { return Ok(false) };
        // The network has no answer for an address where nothing stands.
        if net.reverse_lookup(address).is_none() {
            return Ok(false);
        }
        let mut stream = net.connect_addr(SocketAddr::new(address, port)).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        let location = answer.lines().find_map(|line| line.strip_prefix("location: "));
        match location {
            Some(location) if status.starts_with('3') => {
                let Some(next) = parts(location).and_then(|(host, ..)| host.parse().ok()) else { return Ok(false) };
                (address, url) = (next, location.to_owned());
            }
            _ => return Ok(status == "200"),
        }
    }
    Ok(false)
}

/// Host, port and path of an `http` URL.
fn parts(url: &str) -> Option<(&str, u16, String)> {
    let rest = url.strip_prefix("http://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, HTTP_PORT),
    };
    Some((host, port, format!("/{path}")))
}
