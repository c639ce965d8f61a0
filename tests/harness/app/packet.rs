//! Socket.IO v5 packets as a client reads and writes them. It shares nothing with the server's own.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketKind {
    Connect,
    Disconnect,
    Event,
    Ack,
    ConnectError,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    pub kind: PacketKind,
    pub namespace: String,
    pub id: Option<u64>,
    /// Null where there is none.
    pub data: Value,
    /// Those that are still to come, of a packet that was just read.
    pub missing: usize,
    pub attachments: Vec<Vec<u8>>,
}

impl Packet {
    /// What stands behind the `4` of an Engine.IO message.
    pub fn read(text: &str) -> Result<Self> {
        let reading = || {
            let (kind, mut rest) = text.split_at_checked(1).context("it is empty")?;
            let (kind, is_binary) = match kind {
                "0" => (PacketKind::Connect, false),
                "1" => (PacketKind::Disconnect, false),
                "2" => (PacketKind::Event, false),
                "3" => (PacketKind::Ack, false),
                "4" => (PacketKind::ConnectError, false),
                "5" => (PacketKind::Event, true),
                "6" => (PacketKind::Ack, true),
                other => bail!("there is no kind {other}"),
            };
            let mut missing = 0;
            if is_binary {
                let (count, behind) = rest.split_once('-').context("it does not count its attachments")?;
                (missing, rest) = (count.parse().context("count attachments")?, behind);
            }
            let mut namespace = "/";
            if rest.starts_with('/') {
                (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
            }
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (id, data) = rest.split_at(digits);
            let id = (!id.is_empty()).then(|| id.parse()).transpose().context("read an id")?;
            let data = if data.is_empty() {
                Value::Null
            } else {
                serde_json::from_str(data).context("read JSON")?
            };
            Ok(Self { kind, namespace: namespace.into(), id, data, missing, attachments: vec![] })
        };
        let packet = reading().with_context(|| format!("no Socket.IO packet: {text}"))?;
        packet.is_sound().with_context(|| format!("no Socket.IO packet: {text}"))?;
        Ok(packet)
    }

    /// What the protocol asks of each kind that a server sends.
    fn is_sound(&self) -> Result<()> {
        match self.kind {
            PacketKind::Connect => ensure!(self.data["sid"].is_string(), "it names no sid"),
            PacketKind::Disconnect => ensure!(self.data.is_null(), "it has data"),
            PacketKind::Event => ensure!(self.data[0].is_string(), "the event has no name"),
            PacketKind::Ack => ensure!(self.data.is_array() && self.id.is_some(), "it acknowledges nothing"),
            PacketKind::ConnectError => ensure!(self.data["message"].is_string(), "it gives no reason"),
        }
        Ok(())
    }

    /// An event's name; of other packets, nothing.
    pub fn name(&self) -> &str {
        self.data[0].as_str().unwrap_or_default()
    }

    /// An event's arguments behind its name, or those of an acknowledgement.
    pub fn args(&self) -> &[Value] {
        let all = self.data.as_array().map(Vec::as_slice).unwrap_or_default();
        if self.kind == PacketKind::Event { all.get(1..).unwrap_or_default() } else { all }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_as_the_protocol_writes_them() {
        let event = Packet::read(r#"212["a",{"b":1},"7"]"#).unwrap();
        assert_eq!((event.kind, event.id, event.name()), (PacketKind::Event, Some(12), "a"));
        assert_eq!(event.args(), [serde_json::json!({"b": 1}), "7".into()]);
        let ack = Packet::read(r"3/admin,0[]").unwrap();
        assert_eq!((ack.namespace.as_str(), ack.id, ack.args()), ("/admin", Some(0), [].as_slice()));
        let binary = Packet::read(r#"51-["a",{"_placeholder":true,"num":0}]"#).unwrap();
        assert_eq!((binary.kind, binary.missing), (PacketKind::Event, 1));
        assert_eq!(Packet::read("1/admin,").unwrap().namespace, "/admin");
        assert_eq!(Packet::read("1").unwrap().kind, PacketKind::Disconnect);
    }

    #[test]
    fn what_a_server_may_not_send_is_refused() {
        for bad in ["", "7", "0", "0{}", "1{}", "2[]", "2{}", "3[]", "4{}", "2[", "5[\"a\"]", "2[\"a\"]x"] {
            assert!(Packet::read(bad).is_err(), "{bad}");
        }
    }
}
