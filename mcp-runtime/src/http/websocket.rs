//! MCP over a WebSocket: one message in each text frame, on a connection that is its own session.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::caller::Caller;
use crate::connection::Connection;
use crate::http::app::{Answer, App, plain};
use crate::http::peers::{AT_A_TIME, GRACE, Seat, stopping, too_many};
use crate::http::stream::AnswerBody;
use crate::wire::engine::Engine;
use crate::wire::headers::Once;

/// The sub-protocol that both sides name.
const PROTOCOL: &str = "mcp";
/// How often a client is asked whether it is there.
const PING: Duration = Duration::from_secs(30);
/// How long it may leave that unanswered, and how long it may take to read one message.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a client has to answer that the connection closes.
const GOODBYE: Duration = Duration::from_secs(2);

/// What a connection costs while nothing happens on it.
const READ_BUFFER: usize = 8 << 10;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

impl App {
    /// Answers a request to speak WebSocket. All that can be refused is refused here, in HTTP.
    pub(super) async fn open_socket(&self, mut head: Parts) -> Answer {
        let accept = match handshake(&head.headers) {
            Ok(accept) => accept,
            Err(answer) => return answer,
        };
        let caller = match self.tenants_caller(&head).await {
            Ok(caller) => caller,
            Err(answer) => return answer,
        };
        if self.stopping.load(Ordering::Relaxed) {
            return stopping();
        }
        let Some(upgrade) = head.extensions.remove::<OnUpgrade>() else {
            return upgrade_required("This connection cannot become a WebSocket\n");
        };
        let Some(seat) = self.peers.admit(&caller) else {
            return too_many("Too many open connections: close one, or try again later");
        };
        let peer = Peer {
            engine: Arc::clone(&self.engine),
            caller,
            address: self.address(&head),
            max_message: self.max_body,
            _seat: seat,
        };
        self.peers.spawn(async move {
            match timeout(GOODBYE, upgrade).await {
                Ok(Ok(upgraded)) => peer.attend(upgraded).await,
                _ => tracing::debug!(target: "mcp::http", "a client left before it was upgraded"),
            }
        });
        switching(&accept)
    }
}

/// What RFC 6455 demands of a request, and our sub-protocol: the value of `Sec-WebSocket-Accept`.
#[expect(clippy::result_large_err, reason = "an answer is made once, and sent")]
fn handshake(headers: &HeaderMap) -> Result<HeaderValue, Answer> {
    let is = |wanted: &'static str| move |value: &str| value.eq_ignore_ascii_case(wanted);
    let upgrades = names(headers, header::UPGRADE, is("websocket"))
        && names(headers, header::CONNECTION, is("upgrade"));
    if !upgrades {
        return Err(upgrade_required("Connect with a WebSocket client\n"));
    }
    if single(headers, header::SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(upgrade_required("Use version 13 of WebSocket\n"));
    }
    let bad = |text| Err(plain(StatusCode::BAD_REQUEST, text));
    let key = single(headers, header::SEC_WEBSOCKET_KEY);
    let Some(key) = key.filter(|key| STANDARD.decode(key).is_ok_and(|key| key.len() == 16)) else {
        return bad("Sec-WebSocket-Key must be 16 bytes in base64\n");
    };
    if !names(headers, header::SEC_WEBSOCKET_PROTOCOL, |name| {
        name == PROTOCOL
    }) {
        return bad("Ask for the sub-protocol mcp (Sec-WebSocket-Protocol: mcp)\n");
    }
    HeaderValue::try_from(derive_accept_key(key.as_bytes()))
        .or_else(|_| bad("Sec-WebSocket-Key must be 16 bytes in base64\n"))
}

/// Whether one of the values of a list is the wanted one.
fn names(headers: &HeaderMap, name: HeaderName, wanted: impl Fn(&str) -> bool) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| wanted(value.trim()))
}

fn single(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let value = Once::of(headers, &name).value()?;
    value.to_str().ok().map(str::trim)
}

fn upgrade_required(text: &'static str) -> Answer {
    let mut answer = plain(StatusCode::UPGRADE_REQUIRED, text);
    let headers = answer.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(
        header::SEC_WEBSOCKET_VERSION,
        HeaderValue::from_static("13"),
    );
    answer
}

fn switching(accept: &HeaderValue) -> Answer {
    let mut answer = Response::new(AnswerBody::default());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept.clone());
    headers.insert(
        header::SEC_WEBSOCKET_PROTOCOL,
        HeaderValue::from_static(PROTOCOL),
    );
    answer
}

/// Who is at the other end.
struct Peer {
    engine: Arc<Engine>,
    caller: Arc<Caller>,
    address: Option<IpAddr>,
    max_message: usize,
    _seat: Seat,
}

/// Why a connection ends.
enum End {
    /// Its client is gone: nobody reads what is said now.
    Gone,
    /// Its client closed it, and waits for nothing but to hear that from us.
    Closed,
    /// We close it, with a reason.
    Close(CloseCode, &'static str),
}

impl Peer {
    /// Serves the client until one of both has enough.
    async fn attend(self, upgraded: Upgraded) {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(self.max_message))
            .max_frame_size(Some(self.max_message));
        let io = TokioIo::new(upgraded);
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        let (sink, mut stream) = socket.split();
        let (frames, answers) = mpsc::channel(AT_A_TIME);
        let connection =
            Connection::open(self.engine, self.caller, "websocket", frames).at(self.address);
        let writing = write(sink, answers);
        let reading = async {
            let end = read(&mut stream, &connection).await;
            let grace = match end {
                End::Gone | End::Closed => Duration::ZERO,
                End::Close(..) => GRACE,
            };
            connection.finish(grace).await;
            // The last sender: what is written ends with what waits now.
            drop(connection);
            end
        };
        let (end, sink) = tokio::join!(reading, writing);
        let frame = match end {
            End::Gone => return,
            End::Closed => None,
            End::Close(code, reason) => Some(CloseFrame {
                code,
                reason: Utf8Bytes::from_static(reason),
            }),
        };
        if let Some(Ok(socket)) = sink.map(|sink| sink.reunite(stream)) {
            goodbye(socket, frame).await;
        }
    }
}

/// Reads until the connection ends.
async fn read(stream: &mut SplitStream<Socket>, connection: &Connection) -> End {
    let mut heard = Instant::now();
    loop {
        let frame = tokio::select! {
            // A client that floods us does not keep us from stopping; one whose answer lies here
            // unread is not taken for silent.
            biased;
            () = connection.stopping() => return End::Close(CloseCode::Away, "the server stops"),
            () = connection.over() => return End::Close(CloseCode::Normal, ""),
            () = connection.expired() => {
                return End::Close(CloseCode::Policy, "the access token is over: connect with a new one");
            }
            () = connection.unread() => return End::Gone,
            frame = stream.next() => frame,
            () = sleep_until(heard + SILENCE) => {
                return End::Close(CloseCode::Policy, "no answer to a ping");
            }
        };
        match frame {
            Some(Ok(Message::Text(text))) => connection.receive(Bytes::from(text)).await,
            Some(Ok(Message::Pong(_))) => heard = Instant::now(),
            Some(Ok(Message::Ping(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Binary(_))) => {
                return End::Close(CloseCode::Unsupported, "send messages as text");
            }
            Some(Ok(Message::Close(_))) => return End::Closed,
            None => return End::Gone,
            Some(Err(Error::Capacity(_))) => {
                return End::Close(CloseCode::Size, "the message is too large");
            }
            Some(Err(Error::Utf8(_))) => {
                return End::Close(CloseCode::Invalid, "text is UTF-8");
            }
            Some(Err(Error::Protocol(_))) => return End::Close(CloseCode::Protocol, ""),
            Some(Err(_)) => return End::Gone,
        }
    }
}

/// Writes answers and pings until there are no more. `None` when the client does not read.
async fn write(
    mut sink: SplitSink<Socket, Message>,
    mut answers: mpsc::Receiver<Vec<u8>>,
) -> Option<SplitSink<Socket, Message>> {
    let mut pings = interval_at(Instant::now() + PING, PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            answer = answers.recv() => match answer {
                // JSON of our own making is text.
                Some(answer) => Message::Text(Utf8Bytes::try_from(answer).unwrap_or_default()),
                None => return Some(sink),
            },
            _ = pings.tick() => Message::Ping(Bytes::new()),
        };
        match timeout(SILENCE, sink.send(message)).await {
            Ok(Ok(())) => {}
            _ => return None,
        }
    }
}

/// Says why, and waits a moment for the client to hear it: a connection that is dropped with
/// unread bytes in it takes what was said last with it.
async fn goodbye(mut socket: Socket, frame: Option<CloseFrame>) {
    let said = async {
        let closed = match frame {
            Some(frame) => socket.close(Some(frame)).await,
            None => SinkExt::close(&mut socket).await,
        };
        match closed {
            // The client was first; this was the answer.
            Ok(()) | Err(Error::ConnectionClosed) => {}
            Err(error) => return Err(error),
        }
        let mut io = socket.into_inner();
        io.shutdown().await?;
        let mut rest = [0; 4096];
        while io.read(&mut rest).await? > 0 {}
        Ok(())
    };
    let _ = timeout(GOODBYE, said).await;
}
