//! One question to one DNS server over the simulated network: by datagram, and by stream where the answer did not
//! fit. For hosts that ask on behalf of others; the adapters under test have a client of their own.

use super::dns_wire::PORT;
use crate::fabric::Net;
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The longest datagram that is received, bytes.
const DATAGRAM_LENGTH_MAX: usize = 4096;

/// What `server` answers. `id` is the question's. There is no limit on time here.
pub async fn ask(net: &Net, server: IpAddr, hostname: &str, kind: RecordType, id: u16) -> io::Result<Message> {
    let invalid = |error: hickory_proto::ProtoError| io::Error::new(io::ErrorKind::InvalidInput, error.to_string());
    let name = Name::from_ascii(format!("{hostname}.")).map_err(invalid)?;
    let mut question = Message::new(id, MessageType::Query, OpCode::Query);
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name, kind));
    let bytes = question.to_vec().map_err(invalid)?;
    let server = SocketAddr::new(server, PORT);
    let answer = by_datagram(net, server, &bytes, id).await?;
    if answer.metadata.truncation { by_stream(net, server, &bytes).await } else { Ok(answer) }
}

async fn by_datagram(net: &Net, server: SocketAddr, question: &[u8], id: u16) -> io::Result<Message> {
    let socket = net.bind(0).await?;
    socket.send_to(question, server)?;
    let mut buffer = [0; DATAGRAM_LENGTH_MAX];
    loop {
        let (length, from) = poll_fn(|cx| socket.poll_recv_from(cx, &mut buffer)).await?;
        match Message::from_vec(&buffer[..length]) {
            Ok(answer) if answer.metadata.id == id && from.ip() == server.ip() => return Ok(answer),
            // Not the answer to this question.
            _ => continue,
        }
    }
}

async fn by_stream(net: &Net, server: SocketAddr, question: &[u8]) -> io::Result<Message> {
    let mut stream = net.connect_addr(server).await?;
    let length = u16::try_from(question.len()).expect("a question is short");
    stream.write_all(&[&length.to_be_bytes()[..], question].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Message::from_vec(&answer).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}
