//! The rules by which a reader takes a partition's records, and what a sound writer must show.

use super::record::{Kind, Record};
use super::report::{Audit, Commit};

/// What became of a record.
#[derive(Debug)]
pub enum Taken {
    /// It tells nothing by itself: a claim, or one that does not count.
    Nothing,
    /// It belongs to a commit that is not complete.
    Part,
    /// It completed a commit.
    Commit(Commit),
}

#[derive(Debug)]
pub(super) struct Machine {
    epoch: i64,
    claim: String,
    last_seq: u64,
    partial: Vec<Record>,
}

impl Default for Machine {
    fn default() -> Self {
        Self { epoch: -1, claim: String::new(), last_seq: 0, partial: vec![] }
    }
}

impl Machine {
    /// The commit that this record completes, if it does.
    pub(super) fn step(
        &mut self,
        offset: i64,
        record: Record,
        audit: &mut Audit,
        (partition, partition_count): (usize, usize),
    ) -> Taken {
        let place = format!("partition {partition} at {offset}");
        if offset == 0 && record.kind != Kind::Claim {
            audit.violate(format!("{place}: a log begins with a claim"));
        }
        if record.kind == Kind::Claim {
            self.epoch = offset;
            self.claim = record.claim;
            self.partial.clear();
            return Taken::Nothing;
        }
        let home = partition_of(record.key.as_bytes(), partition_count);
        if record.kind == Kind::Event && home != partition {
            audit.violate(format!("{place}: {} belongs to partition {home}", record.key));
        }
        if let Some(reason) = self.refuse(&record) {
            audit.ignore(reason);
            return Taken::Nothing;
        }
        let (seq, count) = (record.seq, record.count);
        self.partial.push(record);
        if u64::try_from(self.partial.len()) != Ok(count) {
            return Taken::Part;
        }
        self.last_seq = seq;
        let records = std::mem::take(&mut self.partial);
        Taken::Commit(Commit { partition, next_offset: offset + 1, records })
    }

    /// Why a record does not count.
    fn refuse(&self, record: &Record) -> Option<&'static str> {
        if record.epoch != self.epoch || record.claim != self.claim {
            return Some("stale epoch");
        }
        if record.seq <= self.last_seq {
            return Some("duplicate");
        }
        if record.seq != self.last_seq + 1 {
            return Some("gap");
        }
        let is_next = u64::try_from(self.partial.len()) == Ok(record.index);
        let agrees = self.partial.first().is_none_or(|first| {
            first.kind == record.kind
                && first.count == record.count
                && first.command_id == record.command_id
        });
        (!is_next || !agrees || record.count == 0).then_some("out of place")
    }
}

/// The partitioner of Kafka's own clients: murmur2 of the key, made positive.
#[expect(clippy::as_conversions, reason = "the hash is defined on wrapping 32-bit numbers")]
fn partition_of(key: &[u8], count: usize) -> usize {
    (murmur2(key) & 0x7fff_ffff) as usize % count
}

fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut hash = 0x9747_b28c ^ length;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::murmur2;

    /// Values of the tests of Kafka's own client.
    #[test]
    fn murmur2_is_that_of_kafka() {
        let check = |key: &str, expected: i32| {
            assert_eq!(murmur2(key.as_bytes()), u32::from_ne_bytes(expected.to_ne_bytes()));
        };
        check("21", -973_932_308);
        check("foobar", -790_332_482);
        check("a-little-bit-long-string", -985_981_536);
        check("a-little-bit-longer-string", -1_486_304_829);
        check("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971);
    }
}
