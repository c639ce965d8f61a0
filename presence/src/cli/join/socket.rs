//! One connection of the client: opened, listened to, closed.

use super::{
    known::{Known, News, again_after},
    text::printable,
};
use crate::cli::Failure;
use futures_util::{SinkExt as _, StreamExt as _};
use presence_api::frames::ClientFrame;
use std::{io, io::Write, time::Duration};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};
use url::Url;

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How long a server may take to accept a connection, and to answer a connect.
const ANSWER: Duration = Duration::from_secs(15);
/// A server pings every 30 seconds: one that was silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(90);
/// How long to wait for the server to close in kind.
const GOODBYE: Duration = Duration::from_secs(2);

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Coming back would not help.
    Final(String),
    /// Connect elsewhere now; this socket still delivers.
    Move,
    Again {
        after: Option<Duration>,
        why: String,
    },
}

pub(super) async fn open(url: &Url, request: &ClientFrame) -> Result<Socket, String> {
    let connect = async {
        let (mut socket, _) = connect_async(url.as_str()).await?;
        let frame = serde_json::to_string(request).map_err(|error| Error::Io(io::Error::other(error)))?;
        socket.send(Message::text(frame)).await?;
        Ok::<_, Error>(socket)
    };
    match timeout(ANSWER, connect).await {
        Ok(Ok(socket)) => Ok(socket),
        Ok(Err(error)) => Err(format!("no connection: {error}")),
        Err(_) => Err("no connection: the server does not answer".to_owned()),
    }
}

/// Shows what the socket brings until it ends, or until the server asked to leave it.
pub(super) async fn listen(
    socket: &mut Socket,
    known: &mut Known,
    leaving: &mut Option<Socket>,
    out: &mut dyn Write,
) -> Result<Ended, Failure> {
    let mut deadline = Instant::now() + ANSWER;
    let mut leave_at = None;
    let mut last_word: Option<Ended> = None;
    loop {
        let until = leave_at.map_or(deadline, |leave_at: Instant| leave_at.min(deadline));
        let message = tokio::select! {
            message = socket.next() => message,
            () = sleep_until(until) => return Ok(match leave_at {
                Some(_) => Ended::Move,
                None => again("the server is silent"),
            }),
        };
        deadline = Instant::now() + SILENCE;
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(frame))) => return Ok(last_word.unwrap_or_else(|| closed(frame.as_ref()))),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_))) => {
                continue;
            }
            Some(Err(error)) => {
                return Ok(last_word.unwrap_or_else(|| again(&format!("connection lost: {error}"))));
            }
            None => return Ok(last_word.unwrap_or_else(|| again("connection lost"))),
        };
        let news = known.hear(&text);
        match &news {
            // The new socket has taken over: the old one may go.
            News::Connected { .. } => close(leaving.take()).await,
            News::Terminated { after, .. } => leave_at = Some(Instant::now() + *after),
            News::Closing { again: true, after, why } => {
                last_word = Some(Ended::Again { after: *after, why: why.clone() });
            }
            News::Closing { again: false, why, .. } => last_word = Some(Ended::Final(why.clone())),
            News::Resync
            | News::Entered(_)
            | News::Left(_)
            | News::Other { .. }
            | News::Repeated
            | News::Unknown => {}
        }
        show(&news, known, out)?;
    }
}

fn again(why: &str) -> Ended {
    Ended::Again { after: None, why: why.to_owned() }
}

fn closed(frame: Option<&CloseFrame>) -> Ended {
    let (code, reason) = frame.map_or((1005, ""), |frame| (u16::from(frame.code), frame.reason.as_str()));
    let why = format!("closed by the server ({code} {reason})");
    if again_after(code) { again(&why) } else { Ended::Final(why) }
}

/// Says goodbye, and waits a moment for the answer.
pub(super) async fn close(socket: Option<Socket>) {
    let Some(mut socket) = socket else { return };
    let goodbye = async {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        if socket.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    // A server that does not answer is left without it.
    let _ = timeout(GOODBYE, goodbye).await;
}

fn show(news: &News, known: &Known, out: &mut dyn Write) -> io::Result<()> {
    match news {
        News::Connected { resumed: true, replica } => writeln!(out, "= resumed on {}", printable(replica))?,
        News::Connected { resumed: false, replica } => {
            writeln!(out, "= connected to {}", printable(replica))?;
            roster(known, out)?;
        }
        News::Resync => roster(known, out)?,
        News::Entered(agent) => writeln!(out, "+ {} entered", printable(agent))?,
        News::Left(agent) => writeln!(out, "- {} left", printable(agent))?,
        News::Other { what, payload } => writeln!(out, "* {} {}", printable(what), printable(payload))?,
        News::Terminated { why, .. } => writeln!(out, "! asked to move ({})", printable(why))?,
        News::Closing { .. } | News::Repeated | News::Unknown => {}
    }
    out.flush()
}

fn roster(known: &Known, out: &mut dyn Write) -> io::Result<()> {
    let total = known.unnamed + known.present.len() as u64;
    writeln!(out, "  present in {}: {total}", known.classroom())?;
    for agent in &known.present {
        writeln!(out, "  {}", printable(agent))?;
    }
    if known.unnamed > 0 {
        writeln!(out, "  and {} more", known.unnamed)?;
    }
    Ok(())
}
