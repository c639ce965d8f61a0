//! One socket of one agent: it is opened, asks to enter, is read frame by frame, and ends. What its frames mean for the
//! agent is not its business. Nothing is written that does not fit the kernel's buffer at once: a client says little.

use super::{
    app::{Guise, Meant, Talk},
    conduct::ServerId,
    words::{Words, understand},
    world::World,
};
use crate::{
    frame::{Opcode, Scanner, masked_close, masked_pong, masked_text},
    handshake,
};
use presence_api::frames::{ClientFrame, ConnectRequest, Resume};
use std::{
    fmt,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::timeout,
};

const GOOD_BYE: u16 = 1000;

/// What a socket brings.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The request to enter is on its way; it was begun then.
    Asked {
        began: i64,
    },
    /// An app was let in as this socket, and asks for its lesson.
    LetIn(String),
    /// It was never asked to enter, so nothing can have happened.
    NotAsked(String),
    Words(Words),
    /// A text frame that is not worded as the protocol says.
    Gibberish,
    /// The server's close frame. It has been answered, and nothing more comes.
    Closed(Option<u16>),
    /// The connection is over without one.
    Broken(String),
}

type Opening = Pin<Box<dyn Future<Output = Result<Opened, Failure>> + Send>>;

struct Opened {
    tcp: TcpStream,
    /// What came with the answer to the handshake.
    early: Vec<u8>,
    began: i64,
    turn: Option<OwnedSemaphorePermit>,
}

/// The beginning is known only if the server may have heard of it.
struct Failure {
    asked: Option<i64>,
    why: String,
}

enum State {
    Opening(Opening),
    Open { tcp: TcpStream, scanner: Scanner },
    Ended,
}

pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) server: ServerId,
    pub(crate) resume: Option<Resume>,
    /// When it was begun, once it has asked.
    pub(crate) asked: Option<i64>,
    /// It has had an answer to that.
    pub(crate) answered: bool,
    /// When it said good-bye.
    pub(crate) closing: Option<i64>,
    /// The highest position that it brought.
    pub(crate) last_seq: u64,
    /// What is above this is news.
    pub(crate) live_from: u64,
    /// It is not read for now.
    pub(crate) stalled: bool,
    /// Its turn to connect, given back with the answer.
    turn: Option<OwnedSemaphorePermit>,
    /// At the Socket.IO door.
    app: Option<Box<Talk>>,
    state: State,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("number", &self.number)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// What a line asks for, and whose turn it waits for.
pub(crate) struct Request {
    pub(crate) label: String,
    pub(crate) classroom: String,
    pub(crate) token: Arc<str>,
    pub(crate) resume: Option<Resume>,
    /// An app, which asks for no resume.
    pub(crate) guise: Option<Guise>,
}

impl Line {
    /// It connects when it is its turn: a swarm has so many of them.
    pub(crate) fn open(
        number: u64,
        (server, address): (ServerId, SocketAddr),
        request: Request,
        world: &World,
    ) -> Self {
        let (turns, clock, within) = (world.turns.clone(), world.clock, world.plan.answer_within);
        let resume = request.resume.filter(|_| request.guise.is_none());
        let app = request.guise.clone().map(|guise| Box::new(Talk::of(guise)));
        let opening = async move {
            // Nobody closes the semaphore.
            let turn = turns.acquire_owned().await.ok();
            let began = clock.now();
            let mut asked = None;
            let asking = async {
                let path = request.guise.as_ref().map(|guise| guise.path(&request.token));
                let path = path.as_deref().unwrap_or("/ws");
                let (mut tcp, early) =
                    handshake::open(address, path).await.map_err(|error| format!("{error:#}"))?;
                asked = Some(began);
                if request.guise.is_some() {
                    // It asks once the server has opened the connection.
                    return Ok((tcp, early));
                }
                let frame = first_frame(request).map_err(|error| error.to_string())?;
                let sent = tcp.write_all(&masked_text(&frame)).await;
                sent.map(|()| (tcp, early)).map_err(|error| format!("send the request: {error}"))
            };
            let outcome =
                timeout(within, asking).await.unwrap_or_else(|_| Err("no handshake in time".into()));
            outcome
                .map(|(tcp, early)| Opened { tcp, early, began, turn })
                .map_err(|why| Failure { asked, why })
        };
        Self {
            number,
            server,
            resume,
            asked: None,
            answered: false,
            closing: None,
            last_seq: 0,
            live_from: 0,
            stalled: false,
            turn: None,
            app,
            state: State::Opening(Box::pin(opening)),
        }
    }

    pub(crate) fn is_answered(&mut self) {
        self.answered = true;
        self.turn = None;
    }

    /// What has come; pending while nothing has. `buffer` is for one read, and shared by all lines.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        classroom: &str,
    ) -> Poll<Vec<Heard>> {
        match &mut self.state {
            State::Opening(opening) => {
                let heard = match ready!(opening.as_mut().poll(cx)) {
                    Ok(Opened { tcp, early, began, turn }) => {
                        self.turn = turn;
                        let mut scanner = Scanner::default();
                        let mut heard = vec![Heard::Asked { began }];
                        heard.extend(hear(
                            (&tcp, &mut scanner),
                            &early,
                            classroom,
                            (true, self.app.as_deref_mut()),
                        ));
                        self.state = State::Open { tcp, scanner };
                        heard
                    }
                    Err(Failure { asked, why }) => {
                        self.state = State::Ended;
                        match asked {
                            Some(began) => vec![Heard::Asked { began }, Heard::Broken(why)],
                            None => vec![Heard::NotAsked(why)],
                        }
                    }
                };
                Poll::Ready(heard)
            }
            State::Open { .. } if self.stalled => Poll::Pending,
            State::Open { tcp, scanner } => {
                let mut read = ReadBuf::new(buffer);
                let outcome = ready!(Pin::new(&mut *tcp).poll_read(cx, &mut read));
                let heard = match outcome {
                    Ok(()) if read.filled().is_empty() => vec![Heard::Broken("closed without a word".into())],
                    Ok(()) => {
                        let manner = (self.closing.is_none(), self.app.as_deref_mut());
                        hear((tcp, scanner), read.filled(), classroom, manner)
                    }
                    Err(error) => vec![Heard::Broken(error.to_string())],
                };
                if matches!(heard.last(), Some(Heard::Closed(_) | Heard::Broken(_))) {
                    self.state = State::Ended;
                }
                Poll::Ready(heard)
            }
            State::Ended => Poll::Pending,
        }
    }

    /// Says good-bye. Whether it could.
    pub(crate) fn say_good_bye(&mut self, now: i64) -> bool {
        let State::Open { tcp, .. } = &self.state else { return false };
        self.closing = Some(now);
        self.stalled = false;
        let mut words = if self.app.is_some() { masked_text(b"41") } else { vec![] };
        words.extend(masked_close(GOOD_BYE));
        says(tcp, &words)
    }
}

fn first_frame(request: Request) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&ClientFrame::ConnectRequest(ConnectRequest {
        agent_label: request.label,
        classroom_id: request.classroom,
        token: request.token.to_string(),
        resume: request.resume,
    }))
}

/// The frames in what was read, up to the one that ends the line. Pings are answered, and a close frame that is not
/// itself the answer to ours.
fn hear(
    (tcp, scanner): (&TcpStream, &mut Scanner),
    bytes: &[u8],
    classroom: &str,
    (answers, mut app): (bool, Option<&mut Talk>),
) -> Vec<Heard> {
    let mut heard = vec![];
    let mut ended = false;
    let fed = scanner.feed(bytes, |opcode, payload| {
        if ended {
            return;
        }
        if let (Opcode::Text, Some(app)) = (opcode, app.as_deref_mut()) {
            let said = hear_app(tcp, app, payload);
            ended = matches!(said.last(), Some(Heard::Closed(_) | Heard::Broken(_)));
            heard.extend(said);
            return;
        }
        let one = match opcode {
            Opcode::Text => understand(payload, classroom).map_or(Heard::Gibberish, Heard::Words),
            Opcode::Close => Heard::Closed(close_code(tcp, payload, answers)),
            Opcode::Ping if says(tcp, &masked_pong(payload)) => return,
            Opcode::Ping => Heard::Broken("could not send a pong".into()),
            Opcode::Binary | Opcode::Pong => return,
        };
        ended = matches!(one, Heard::Closed(_) | Heard::Broken(_));
        heard.push(one);
    });
    if let Err(broken) = fed
        && !ended
    {
        heard.push(Heard::Broken(broken.to_string()));
    }
    heard
}

/// What a packet brings an app, which may answer it.
fn hear_app(tcp: &TcpStream, app: &mut Talk, text: &[u8]) -> Vec<Heard> {
    let unless = |said: bool, heard: Vec<Heard>| {
        if said { heard } else { vec![Heard::Broken("could not send a packet".into())] }
    };
    match app.hear(text) {
        Meant::Reply(packet) => unless(says(tcp, &packet), vec![]),
        Meant::LetIn(sid, packet) => unless(says(tcp, &packet), vec![Heard::LetIn(sid)]),
        Meant::Words(words) => vec![Heard::Words(words)],
        Meant::Refused(kind) => {
            let words = Words::Error { kind, reconnect_after_ms: None };
            vec![Heard::Words(words), Heard::Broken("there is nothing to be had here".into())]
        }
        Meant::Over(code) => vec![Heard::Closed(Some(code))],
        Meant::Nothing => vec![],
        Meant::Gibberish => vec![Heard::Gibberish],
    }
}

fn close_code(tcp: &TcpStream, payload: &[u8], answers: bool) -> Option<u16> {
    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
    if answers {
        // Whether it arrives does not matter any more.
        says(tcp, &masked_close(code.unwrap_or(GOOD_BYE)));
    }
    code
}

fn says(tcp: &TcpStream, frame: &[u8]) -> bool {
    tcp.try_write(frame).is_ok_and(|sent| sent == frame.len())
}
