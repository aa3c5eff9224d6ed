//! An API server that is reached through a proxy, as its kubeconfig says.

use super::{Folder, files};
use continuum_controller::clients::{Place, read_files};
use continuum_controller::config::{Config, Values};
use continuum_core::name::Region;
use continuum_live::kube_transport::{Limits, USER_AGENT};
use continuum_tests::real_kube::{RealKube, Who};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// A proxy that speaks `CONNECT` and SOCKS5 without a password, and what it was asked for: `connect 127.0.0.1:6443`.
async fn proxy() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let noted = asked.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let noted = noted.clone();
            tokio::spawn(async move { pass(client, &noted).await.expect("a client that speaks as it should") });
        }
    });
    (port, asked)
}

async fn pass(mut client: TcpStream, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let (how, target, answer): (_, String, &[u8]) = match client.read_u8().await? {
        5 => {
            let mut methods = vec![0; client.read_u8().await?.into()];
            client.read_exact(&mut methods).await?;
            client.write_all(&[5, 0]).await?;
            let mut request = [0; 4];
            client.read_exact(&mut request).await?;
            let host = match request[3] {
                1 => {
                    let mut address = [0; 4];
                    client.read_exact(&mut address).await?;
                    std::net::Ipv4Addr::from(address).to_string()
                }
                _ => {
                    let mut name = vec![0; client.read_u8().await?.into()];
                    client.read_exact(&mut name).await?;
                    String::from_utf8_lossy(&name).into_owned()
                }
            };
            ("socks5", format!("{host}:{}", client.read_u16().await?), &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
        }
        first => {
            let mut head = vec![first];
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await?);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
            ("connect", target.to_owned(), b"HTTP/1.1 200 OK\r\n\r\n")
        }
    };
    let mut server = TcpStream::connect(&target).await?;
    asked.lock().expect("nobody panicked").push(format!("{how} {target}"));
    client.write_all(answer).await?;
    // How it ends is not the proxy's.
    let _ = copy_bidirectional(&mut client, &mut server).await;
    Ok(())
}

/// The same kubeconfig, behind a proxy.
fn behind(kubeconfig: &str, proxy: &str) -> String {
    let line = |line: &str| match line.find("server:") {
        Some(at) => {
            let (indent, field) = line.split_at(at);
            // The first key of a list's item begins with a dash.
            format!("{indent}{field}\n{}proxy-url: {proxy}\n", " ".repeat(indent.len()))
        }
        None => format!("{line}\n"),
    };
    kubeconfig.lines().map(line).collect()
}

#[tokio::test]
async fn an_api_server_is_reached_through_the_proxy_of_its_kubeconfig() {
    let Some(server) = RealKube::start().await.expect("a real kube-apiserver") else { return };
    let (folder, hel) = (Folder::new(), Place::Region(Region::new("hel")));
    let config = Config::read(&Values::new(files(&folder))).expect("it is good");
    for (scheme, how) in [("http", "connect"), ("socks5", "socks5")] {
        let (port, asked) = proxy().await;
        let proxied = behind(&server.kubeconfig(Who::Admin), &format!("{scheme}://127.0.0.1:{port}"));
        folder.put("regions/hel.kubeconfig", &proxied);
        let kubeconfigs = read_files(&config).await.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let client = kubeconfigs.places[&hel].client(&hel, USER_AGENT, Limits::REQUESTS).expect("a client");
        client.apiserver_version().await.unwrap_or_else(|error| panic!("{scheme}: {error}"));
        let asked = asked.lock().expect("nobody panicked").clone();
        assert_eq!(asked, [format!("{how} {}", kubeconfigs.places[&hel].host())], "TLS goes through it to the server");
    }
    for wrong in ["https://127.0.0.1:1", "127.0.0.1:1", "ftp://proxy"] {
        folder.put("regions/hel.kubeconfig", &behind(&server.kubeconfig(Who::Admin), wrong));
        let Err(mistakes) = read_files(&config).await else { panic!("{wrong} is taken") };
        let text = mistakes.to_string();
        assert!(text.contains("its proxy-url is none; write http://host:port or socks5://host:port"), "{text}");
    }
}
