//! Which way a request goes. What it does is held by the contract on model and real server.

use super::*;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use std::sync::Mutex as Lock;

/// Leads nowhere, and notes where somebody wanted to.
fn noting() -> (Connect, Arc<Lock<Vec<String>>>) {
    let asked = Arc::<Lock<Vec<String>>>::default();
    let kept = asked.clone();
    let connect: Connect = Arc::new(move |host: &str, port: u16| {
        kept.lock().expect("no test panics with it").push(format!("{host}:{port}"));
        Box::pin(async { Err(std::io::ErrorKind::ConnectionRefused.into()) })
    });
    (connect, asked)
}

#[tokio::test]
async fn the_key_goes_by_the_way_to_the_api_and_by_no_other() {
    let ((api_way, api_asked), (plain, plain_asked)) = (noting(), noting());
    let api = PowerDnsApi {
        connect: api_way,
        host: "dns".into(),
        port: 443,
        api_key: "key".into(),
        user_agent: "continuum".into(),
    };
    let dns = PowerDns::new(api, plain, Authorities::Listed(Vec::new()), &TokioRuntimeProvider::default());
    let dns = dns.beside();
    assert!(dns.send(Method::GET, "/api/v1/servers", Vec::new()).await.is_err());
    assert!(dns.patch("example.org", b"{}".to_vec()).await.is_err());
    assert_eq!(*api_asked.lock().unwrap(), ["dns:443", "dns:443"]);
    assert!(plain_asked.lock().unwrap().is_empty());
    dns.health("http://shop.example.org/healthz", IpAddr::from([10, 1, 0, 1])).await;
    assert_eq!(*plain_asked.lock().unwrap(), ["10.1.0.1:80"]);
    assert_eq!(api_asked.lock().unwrap().len(), 2);
}
