//! DNS over datagrams and streams, for every simulated server that answers questions. What is answered is
//! the caller's.

use crate::fabric::{BoxStream, Listener, Net};
use futures_util::future::BoxFuture;
use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::{A, AAAA};
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Port of DNS.
pub const PORT: u16 = 53;

/// The longest datagram that is received, bytes.
const DATAGRAM_LENGTH_MAX: usize = 4096;

/// Answers a question that came from this address.
pub type Answerer = Arc<dyn Fn(Message, IpAddr) -> BoxFuture<'static, Message> + Send + Sync>;

/// Answers on [`PORT`] of the host that runs this, until it crashes.
pub async fn serve(net: Net, answerer: Answerer) -> io::Result<()> {
    let datagrams = net.bind(PORT).await?;
    let listener = net.listen(PORT).await?;
    net.spawn(Box::pin(accept(net.clone(), listener, answerer.clone())));
    let mut buffer = [0; DATAGRAM_LENGTH_MAX];
    loop {
        let (length, from) = poll_fn(|cx| datagrams.poll_recv_from(cx, &mut buffer)).await?;
        let Ok(question) = Message::from_vec(&buffer[..length]) else { continue };
        let (datagrams, answerer) = (datagrams.clone(), answerer.clone());
        net.spawn(Box::pin(async move {
            let length_max = usize::from(question.max_payload());
            let answer = answerer(question, from.ip()).await;
            let bytes = match encode(&answer) {
                bytes if bytes.len() > length_max => encode(&answer.truncate()),
                bytes => bytes,
            };
            // A datagram that cannot be sent is a datagram that was lost.
            let _ = datagrams.send_to(&bytes, from);
        }));
    }
}

async fn accept(net: Net, listener: Box<dyn Listener>, answerer: Answerer) {
    while let Ok((stream, from)) = listener.accept().await {
        net.spawn(Box::pin(converse(stream, from.ip(), answerer.clone())));
    }
}

/// Questions and answers on one stream, each with its length before it.
async fn converse(mut stream: BoxStream, from: IpAddr, answerer: Answerer) {
    while let Ok(length) = stream.read_u16().await {
        let mut bytes = vec![0; usize::from(length)];
        if stream.read_exact(&mut bytes).await.is_err() {
            return;
        }
        let Ok(question) = Message::from_vec(&bytes) else { return };
        let answer = encode(&answerer(question, from).await);
        let length = u16::try_from(answer.len()).expect("an answer has a few addresses");
        if stream.write_all(&[&length.to_be_bytes()[..], &answer].concat()).await.is_err() {
            return;
        }
    }
}

/// An answer to `question` without records.
pub fn reply(question: &Message, code: ResponseCode) -> Message {
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.metadata.response_code = code;
    answer.queries = question.queries.clone();
    answer
}

/// The data of an address record.
pub fn data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(v4) => RData::A(A(v4)),
        IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
    }
}

fn encode(message: &Message) -> Vec<u8> {
    message.to_vec().expect("an answer is made of valid names")
}
