//! Commands and their replies on the wire.
//!
//! Both are [OP_MSG](https://github.com/mongodb/specifications/blob/master/source/message/OP_MSG.md); the first
//! command of an old driver is an OP_QUERY, which an OP_REPLY answers. Nothing is compressed: the handshake does not
//! offer it.

use std::io;

use bson::{Document, RawDocument, RawDocumentBuf, raw::RawBsonRef};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const HEADER_BYTES: usize = 16;
/// No message is longer: `maxMessageSizeBytes`.
const LIMIT_BYTES: usize = 48_000_000;

const OP_REPLY: i32 = 1;
const OP_QUERY: i32 = 2004;
const OP_MSG: i32 = 2013;

const CHECKSUM_PRESENT: u32 = 1;
const MORE_TO_COME: u32 = 1 << 1;

/// A command as a client sent it.
#[derive(Debug)]
pub(super) struct Command {
    id: i32,
    /// Whether it came as OP_QUERY.
    is_legacy: bool,
    /// Whether the client waits for a reply.
    pub(super) is_answered: bool,
    pub(super) body: RawDocumentBuf,
    /// The sections after the body, as they came: documents that belong into an array of the body.
    sections: Vec<u8>,
}

impl Command {
    /// Reads the next one; fails at the end of the connection too.
    pub(super) async fn read(client: &mut TcpStream) -> io::Result<Self> {
        let (id, kind, payload) = read(client).await?;
        match kind {
            OP_MSG => Self::from_message(id, &payload),
            OP_QUERY => Self::from_query(id, &payload),
            other => Err(malformed(format!("a message of type {other}"))),
        }
    }

    fn from_message(id: i32, payload: &[u8]) -> io::Result<Self> {
        let (flags, mut rest) = split(payload, 4)?;
        let flags = u32::from_le_bytes(array(flags)?);
        if flags & CHECKSUM_PRESENT != 0 {
            rest = split(rest, rest.len().saturating_sub(4))?.0;
        }
        let (mut body, mut sections) = (None, Vec::new());
        while let Some(&kind) = rest.first() {
            let bytes = length(&rest[1..])?;
            let (section, after) = split(rest, 1 + bytes)?;
            if kind == 0 {
                body = Some(document(&section[1..])?);
            } else {
                sections.extend(section);
            }
            rest = after;
        }
        Ok(Self {
            id,
            is_legacy: false,
            is_answered: flags & MORE_TO_COME == 0,
            body: body.ok_or_else(|| malformed("a message without a body"))?,
            sections,
        })
    }

    fn from_query(id: i32, payload: &[u8]) -> io::Result<Self> {
        let name = split(payload, 4)?.1;
        let name_bytes = name.iter().position(|byte| *byte == 0).unwrap_or(0);
        let query = split(name, name_bytes + 1 + 8)?.1;
        let mut body = document(split(query, length(query)?)?.0)?;
        if !matches!(first_key(&body), "isMaster" | "ismaster" | "hello") {
            return Err(malformed("an OP_QUERY other than a handshake"));
        }
        body.append(bson::raw::cstr!("$db"), "admin");
        Ok(Self {
            id,
            is_legacy: true,
            is_answered: true,
            body,
            sections: Vec::new(),
        })
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        first_key(&self.body)
    }

    /// The database it is for.
    pub(super) fn database(&self) -> &str {
        self.body.get_str("$db").unwrap_or_default()
    }

    /// The collection it is for, if it names one.
    pub(super) fn collection(&self) -> Option<&str> {
        self.body.get_str(self.name()).ok()
    }

    /// The documents of an array, be they in the body or after it.
    pub(super) fn documents(&self, name: &str) -> Vec<&RawDocument> {
        if let Ok(array) = self.body.get_array(name) {
            let values = array.into_iter().filter_map(Result::ok);
            return values.filter_map(|value| value.as_document()).collect();
        }
        let mut documents = Vec::new();
        let mut rest = self.sections.as_slice();
        // Each section is a kind, its length without that, a name, and documents until its end.
        while let Ok(bytes) = length(rest.get(1..).unwrap_or_default()) {
            let Ok((section, after)) = split(rest, 1 + bytes) else {
                break;
            };
            let named = section.get(5..).unwrap_or_default();
            if let Some(values) = named
                .strip_prefix(name.as_bytes())
                .and_then(|values| values.strip_prefix(&[0]))
            {
                documents.extend(consecutive(values));
            }
            rest = after;
        }
        documents
    }

    /// Answers it.
    pub(super) async fn answer(
        &self,
        client: &mut TcpStream,
        reply: &RawDocument,
    ) -> io::Result<()> {
        if !self.is_legacy {
            return write(client, (1, self.id), OP_MSG, &message(0, reply, &[])).await;
        }
        // Flags (it awaits data), no cursor, starting from 0, one document.
        let mut payload = vec![8, 0, 0, 0];
        payload.extend([0; 12]);
        payload.extend(1_i32.to_le_bytes());
        payload.extend(reply.as_bytes());
        write(client, (1, self.id), OP_REPLY, &payload).await
    }
}

/// A connection to the server behind.
#[derive(Debug)]
pub(super) struct Server(TcpStream);

impl Server {
    pub(super) async fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Passes on a command with `body` in place of its own; gives an empty reply where there is none.
    pub(super) async fn pass(
        &mut self,
        command: &Command,
        body: &RawDocument,
    ) -> io::Result<RawDocumentBuf> {
        // Not among them: that many replies may come, which is for the handshakes of drivers.
        let flags = if command.is_answered { 0 } else { MORE_TO_COME };
        let payload = message(flags, body, &command.sections);
        write(&mut self.0, (command.id, 0), OP_MSG, &payload).await?;
        if command.is_answered {
            self.reply().await
        } else {
            Ok(RawDocumentBuf::new())
        }
    }

    /// Runs a command of our own.
    pub(super) async fn run(&mut self, body: &RawDocument) -> io::Result<RawDocumentBuf> {
        write(&mut self.0, (0, 0), OP_MSG, &message(0, body, &[])).await?;
        self.reply().await
    }

    async fn reply(&mut self) -> io::Result<RawDocumentBuf> {
        let (id, _, payload) = read(&mut self.0).await?;
        Ok(Command::from_message(id, &payload)?.body)
    }
}

/// A document of our own as it goes over the wire.
pub(super) fn encoded(document: Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).expect("its names have no NUL")
}

/// The name of the first field, which is what a command is called by.
pub(super) fn first_key(document: &RawDocument) -> &str {
    let first = document.iter_elements().next();
    first
        .and_then(Result::ok)
        .map_or("", |element| element.key().as_str())
}

/// The documents of an array; what is none is left out.
pub(super) fn documents_of<'a>(value: Option<RawBsonRef<'a>>) -> Vec<&'a RawDocument> {
    let array = value.and_then(|value| value.as_array());
    let values = array.into_iter().flatten().filter_map(Result::ok);
    values.filter_map(|value| value.as_document()).collect()
}

fn consecutive(mut bytes: &[u8]) -> Vec<&RawDocument> {
    let mut documents = Vec::new();
    while let Ok(one) = length(bytes).and_then(|length| split(bytes, length)) {
        documents.extend(RawDocument::from_bytes(one.0));
        bytes = one.1;
    }
    documents
}

fn message(flags: u32, body: &RawDocument, sections: &[u8]) -> Vec<u8> {
    let mut payload = flags.to_le_bytes().to_vec();
    payload.push(0);
    payload.extend(body.as_bytes());
    payload.extend(sections);
    payload
}

/// Reads a message: its id, its type, and what follows its header.
async fn read(stream: &mut TcpStream) -> io::Result<(i32, i32, Vec<u8>)> {
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header).await?;
    let bytes = length(&header)?;
    if !(HEADER_BYTES..=LIMIT_BYTES).contains(&bytes) {
        return Err(malformed(format!("a message of {bytes} bytes")));
    }
    let mut payload = vec![0; bytes - HEADER_BYTES];
    stream.read_exact(&mut payload).await?;
    let number = |at: usize| Ok::<_, io::Error>(i32::from_le_bytes(array(&header[at..at + 4])?));
    Ok((number(4)?, number(12)?, payload))
}

/// Writes a message that has an id and answers another one.
async fn write(
    stream: &mut TcpStream,
    (id, answers): (i32, i32),
    kind: i32,
    payload: &[u8],
) -> io::Result<()> {
    let length = i32::try_from(HEADER_BYTES + payload.len()).map_err(malformed)?;
    let header = [length, id, answers, kind].map(i32::to_le_bytes);
    let mut bytes = header.as_flattened().to_vec();
    bytes.extend(payload);
    stream.write_all(&bytes).await
}

/// The length that BSON and messages begin with.
fn length(bytes: &[u8]) -> io::Result<usize> {
    let length = i32::from_le_bytes(array(split(bytes, 4)?.0)?);
    usize::try_from(length).map_err(malformed)
}

fn document(bytes: &[u8]) -> io::Result<RawDocumentBuf> {
    RawDocumentBuf::from_bytes(bytes.to_vec()).map_err(malformed)
}

fn split(bytes: &[u8], at: usize) -> io::Result<(&[u8], &[u8])> {
    bytes
        .split_at_checked(at)
        .ok_or_else(|| malformed("a message that ends too early"))
}

fn array<const N: usize>(bytes: &[u8]) -> io::Result<[u8; N]> {
    bytes.try_into().map_err(malformed)
}

fn malformed(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
