//! A client that asks for all documents, reads what comes and does nothing with it: what reading them costs at least.

use std::{
    env,
    io::{Read as _, Write as _},
    net::TcpStream,
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail, ensure};
use bson::{RawDocument, RawDocumentBuf, rawdoc};

use super::servers::DB;
use crate::screen;

/// First argument of the process.
pub(super) const FLAG: &str = "__drain";

/// The [opcode](https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/) of all messages.
const OP_MSG: i32 = 2013;
/// The header, the flags and the kind of the only section.
const BEFORE_DOCUMENT: usize = 16 + 4 + 1;
/// The longest message that a server sends.
const LONGEST: usize = 48_000_000;

/// Drains a server if this process was started to do that.
pub(super) fn maybe_run() -> Option<ExitCode> {
    let mut arguments = env::args().skip(1);
    if arguments.next()? != FLAG {
        return None;
    }
    let documents = |text: String| text.parse::<u64>().ok();
    let asked = arguments.next().zip(arguments.next().and_then(documents));
    let drained = asked
        .context("an address and a number of documents are needed")
        .and_then(|(address, documents)| {
            let found = Connection::open(&address)?.drain()?;
            ensure!(
                found >= documents,
                "{found} documents came, and there are {documents}"
            );
            Ok(())
        });
    Some(match drained {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => screen::failure(&error),
    })
}

struct Connection {
    stream: TcpStream,
    message: Vec<u8>,
}

impl Connection {
    fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let message = Vec::new();
        Ok(Self { stream, message })
    }

    /// Reads all collections one after the other; gives how many documents the server says that there are in them.
    fn drain(&mut self) -> Result<u64> {
        let names = self.ask(&rawdoc! { "listCollections": 1, "nameOnly": true, "$db": DB })?;
        let batch = names.get_document("cursor")?.get_array("firstBatch")?;
        let names = batch.into_iter().map(|name| {
            let name = name?.as_document().context("a name is a document")?;
            Ok(name.get_str("name")?.to_owned())
        });
        let names = names.collect::<Result<Vec<String>>>()?;
        let mut documents = 0;
        for name in names {
            let counted = rawdoc! { "count": name.as_str(), "$db": DB };
            let counted = self.ask(&counted)?.get_i32("n")?;
            documents += u64::try_from(counted)?;
            let find = rawdoc! { "find": name.as_str(), "$db": DB };
            let mut cursor = self.ask(&find)?.get_document("cursor")?.get_i64("id")?;
            while cursor != 0 {
                let more = rawdoc! { "getMore": cursor, "collection": name.as_str(), "$db": DB };
                cursor = self.ask(&more)?.get_document("cursor")?.get_i64("id")?;
            }
        }
        Ok(documents)
    }

    fn ask(&mut self, command: &RawDocumentBuf) -> Result<&RawDocument> {
        let command = command.as_bytes();
        let length = i32::try_from(BEFORE_DOCUMENT + command.len())?;
        let mut request = Vec::with_capacity(BEFORE_DOCUMENT + command.len());
        for number in [length, 1, 0, OP_MSG, 0] {
            request.extend(number.to_le_bytes());
        }
        request.push(0);
        request.extend(command);
        self.stream.write_all(&request)?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_le_bytes(length))?;
        ensure!(
            (BEFORE_DOCUMENT..=LONGEST).contains(&length),
            "a message of {length} bytes"
        );
        let rest = length - 4;
        if self.message.len() < rest {
            self.message.resize(rest, 0);
        }
        let message = &mut self.message[..rest];
        self.stream.read_exact(message)?;
        let reply = message.get(BEFORE_DOCUMENT - 4..).unwrap_or_default();
        let reply = RawDocument::from_bytes(reply)?;
        if reply.get_f64("ok")? != 1.0 {
            bail!("the server refuses: {reply:?}");
        }
        Ok(reply)
    }
}
