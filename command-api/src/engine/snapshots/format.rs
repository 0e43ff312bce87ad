//! A snapshot in bytes: a head that tells what it is of, rows in compressed blocks, and an end with
//! their number.
//!
//! ```text
//! magic (8)  head: length (u32), MessagePack  MAC (32)
//! block: length (u32), length when unpacked (u32), a zstd frame with a checksum of its own, MAC (32)
//!        rows: table (u8), key length (u32), key, value length (u32), value
//! ...
//! end: 0 (u32)  number of rows (u64)  MAC (32)
//! ```
//!
//! Numbers are big-endian. Rows are sorted by table and key. Both sides hold one block at a time. Each
//! MAC is under the nodes' secret and covers the one before it, so that no part can be changed, left
//! out, or put elsewhere.
//!
//! **Invariant:** nothing is unpacked or decoded before its MAC was seen to be right.

use std::io::{self, Read, Write};

use infra::{
    log::BoxError,
    membership::seal::{PeerKey, Tag},
};
use subtle::ConstantTimeEq;
use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::CParameter,
};

use super::super::store::{Head, Row, Table};

/// The last byte is the version of what this file describes.
const MAGIC: [u8; 8] = *b"twsnaps\x02";

/// A block is ended when it has grown beyond this.
const BLOCK_BYTES: usize = 1 << 20;

/// A row longer than a block has one to itself. What claims to be more is damaged.
const BLOCK_BYTES_MAX: usize = 256 << 20;

const HEAD_BYTES_MAX: usize = 4 << 10;

/// The magic, the longest head and its MAC: where a head ends at the latest.
pub(super) const HEAD_END_MAX: u64 = 8 + 4 + (4 << 10) + 32;

/// Fast; the states' field names, which repeat, go all the same.
const LEVEL: i32 = 1;

pub(super) struct Writer<W> {
    to: W,
    chain: Chain,
    block: Vec<u8>,
    compressor: Compressor<'static>,
    rows: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn begin(mut to: W, head: &Head, key: &PeerKey) -> Result<Self, BoxError> {
        let mut chain = Chain::begin(key);
        to.write_all(&MAGIC)?;
        let head = rmp_serde::to_vec_named(head)?;
        to.write_all(&length(head.len())?)?;
        to.write_all(&head)?;
        to.write_all(&chain.link(Part::Head, &[&head]))?;
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        Ok(Self { to, chain, block: Vec::with_capacity(BLOCK_BYTES), compressor, rows: 0 })
    }

    pub(super) fn row(&mut self, row: &Row<'_>) -> Result<(), BoxError> {
        self.block.push(row.table as u8);
        for part in [row.key, row.value] {
            self.block.extend(length(part.len())?);
            self.block.extend(part);
        }
        self.rows += 1;
        if self.block.len() >= BLOCK_BYTES { self.end_block() } else { Ok(()) }
    }

    pub(super) fn finish(mut self) -> Result<(), BoxError> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        let rows = self.rows.to_be_bytes();
        self.to.write_all(&length(0)?)?;
        self.to.write_all(&rows)?;
        self.to.write_all(&self.chain.link(Part::End, &[&rows]))?;
        Ok(self.to.flush()?)
    }

    fn end_block(&mut self) -> Result<(), BoxError> {
        let packed = self.compressor.compress(&self.block)?;
        let block_bytes = length(self.block.len())?;
        self.to.write_all(&length(packed.len())?)?;
        self.to.write_all(&block_bytes)?;
        self.to.write_all(&packed)?;
        self.to.write_all(&self.chain.link(Part::Block, &[&block_bytes, &packed]))?;
        self.block.clear();
        Ok(())
    }
}

/// The rows of a snapshot, one after the other.
pub(in super::super) struct Rows {
    from: Box<dyn Read + Send>,
    chain: Chain,
    decompressor: Decompressor<'static>,
    block: Vec<u8>,
    /// What of the block has been read.
    read: usize,
    rows: u64,
    ended: bool,
}

/// Reads the head, up to which any reader will do.
pub(super) fn read_head(from: &mut impl Read, key: &PeerKey) -> Result<Head, BoxError> {
    begin_reading(from, key).map(|(head, _)| head)
}

fn begin_reading(from: &mut impl Read, key: &PeerKey) -> Result<(Head, Chain), BoxError> {
    let mut magic = [0; MAGIC.len()];
    from.read_exact(&mut magic).map_err(cut_off)?;
    if magic != MAGIC {
        return Err("it is no snapshot that this release can read".into());
    }
    let mut chain = Chain::begin(key);
    let head = read_part(from, HEAD_BYTES_MAX)?;
    chain.check(from, Part::Head, &[&head])?;
    let head =
        rmp_serde::from_slice(&head).map_err(|error| format!("its head is damaged: {error}"))?;
    Ok((head, chain))
}

impl Rows {
    /// From the first byte of a snapshot on.
    pub(super) fn open(
        from: impl Read + Send + 'static,
        key: &PeerKey,
    ) -> Result<(Head, Self), BoxError> {
        let mut from: Box<dyn Read + Send> = Box::new(from);
        let (head, chain) = begin_reading(&mut from, key)?;
        let decompressor = Decompressor::new()?;
        let (block, read, rows, ended) = (Vec::new(), 0, 0, false);
        Ok((head, Self { from, chain, decompressor, block, read, rows, ended }))
    }

    /// The next row. `None` is said only if all of them were there and undamaged.
    pub(in super::super) fn next(&mut self) -> Result<Option<Row<'_>>, BoxError> {
        if self.read == self.block.len() && !self.ended {
            self.next_block()?;
        }
        if self.ended {
            return Ok(None);
        }
        self.rows += 1;
        let rest = &self.block[self.read..];
        let (row, left) = split_row(rest).ok_or("a row is damaged")?;
        self.read = self.block.len() - left;
        Ok(Some(row))
    }

    fn next_block(&mut self) -> Result<(), BoxError> {
        let packed_bytes = read_length(&mut self.from)?;
        if packed_bytes == 0 {
            return self.end();
        }
        let block_bytes = read_length(&mut self.from)?;
        if packed_bytes.max(block_bytes) > BLOCK_BYTES_MAX || block_bytes == 0 {
            return Err("a block has an impossible length".into());
        }
        let packed = read_exact(&mut self.from, packed_bytes)?;
        let unpacked_bytes = length(block_bytes)?;
        self.chain.check(&mut self.from, Part::Block, &[&unpacked_bytes, &packed])?;
        let block = self.decompressor.decompress(&packed, block_bytes);
        self.block = block.map_err(|error| format!("a block is damaged: {error}"))?;
        self.read = 0;
        if self.block.len() == block_bytes {
            Ok(())
        } else {
            Err("a block is shorter than it says".into())
        }
    }

    fn end(&mut self) -> Result<(), BoxError> {
        let mut rows = [0; 8];
        self.from.read_exact(&mut rows).map_err(cut_off)?;
        self.chain.check(&mut self.from, Part::End, &[&rows])?;
        if u64::from_be_bytes(rows) != self.rows {
            return Err("rows are missing".into());
        }
        if self.from.read(&mut [0])? != 0 {
            return Err("something follows its end".into());
        }
        self.ended = true;
        Ok(())
    }
}

/// The first row of a block and how much is left after it.
fn split_row(block: &[u8]) -> Option<(Row<'_>, usize)> {
    let (table, rest) = block.split_first()?;
    let table = Table::ALL.into_iter().find(|known| *known as u8 == *table)?;
    let (key, rest) = split_part(rest)?;
    let (value, rest) = split_part(rest)?;
    Some((Row { table, key, value }, rest.len()))
}

fn split_part(block: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = block.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

fn read_part(from: &mut impl Read, max: usize) -> Result<Vec<u8>, BoxError> {
    let length = read_length(from)?;
    if length > max { Err("its head is damaged".into()) } else { read_exact(from, length) }
}

fn read_length(from: &mut impl Read) -> Result<usize, BoxError> {
    let mut length = [0; 4];
    from.read_exact(&mut length).map_err(cut_off)?;
    Ok(usize::try_from(u32::from_be_bytes(length))?)
}

/// Grows with what is really there: a damaged length takes no memory.
fn read_exact(from: &mut impl Read, length: usize) -> Result<Vec<u8>, BoxError> {
    let mut bytes = Vec::new();
    from.take(u64::try_from(length)?).read_to_end(&mut bytes)?;
    if bytes.len() == length { Ok(bytes) } else { Err("it is cut off".into()) }
}

fn cut_off(error: io::Error) -> BoxError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut off".into(),
        _ => error.into(),
    }
}

fn length(bytes: usize) -> Result<[u8; 4], BoxError> {
    Ok(u32::try_from(bytes)?.to_be_bytes())
}

#[derive(Clone, Copy)]
enum Part {
    Head,
    Block,
    End,
}

/// The MACs of a snapshot's parts, each over the one before it.
struct Chain {
    key: PeerKey,
    last: Tag,
}

impl Chain {
    fn begin(key: &PeerKey) -> Self {
        Self { key: key.clone(), last: [0; 32] }
    }

    fn link(&mut self, part: Part, of: &[&[u8]]) -> Tag {
        let kind = [part as u8];
        let all: Vec<&[u8]> =
            [&self.last[..], &kind].into_iter().chain(of.iter().copied()).collect();
        self.last = self.key.tag("snapshot", &all);
        self.last
    }

    /// Reads the MAC that follows a part.
    fn check(&mut self, from: &mut impl Read, part: Part, of: &[&[u8]]) -> Result<(), BoxError> {
        let mut found = [0; 32];
        from.read_exact(&mut found).map_err(cut_off)?;
        if self.link(part, of).ct_eq(&found).into() {
            Ok(())
        } else {
            Err("it is damaged, or not of nodes with this secret".into())
        }
    }
}
