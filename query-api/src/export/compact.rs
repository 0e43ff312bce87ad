//! Small files of one day put together: an export that writes every few minutes makes many, and readers open each.
//!
//! Rows stay in the order of the files, which is that of the log's time but for a few: readers skip as much as before.
//!
//! **Invariant:** the same commit takes the small files out and the large one in, and says that no data changed.
//! Who reads sees every row once, before it and behind it.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{
    Array, ArrayRef, ListArray, RecordBatch, StructArray, cast::AsArray, new_null_array,
};
use arrow_schema::{ArrowError, DataType, Field as ArrowField, Schema};
use bytes::Bytes;
use domain::timestamp::Timestamp;
use infra::task;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    errors::ParquetError,
};
use serde::Deserialize;

use super::{
    batch::{DATE, columns_of_files},
    delta::{Action, Add, Committed, schema},
    error::ExportError,
    file::{self, FileError, Stats},
    identity::Identity,
    standing::{Standing, commit_info},
};

/// Files below are small.
const SMALL_BYTES: i64 = 16 << 20;
/// Files are put together up to so much. It is held in memory.
const LARGE_BYTES: i64 = 64 << 20;
/// Whoever comes before makes a version that changes little.
const TRIES_MAX: u32 = 10;

impl Standing {
    /// Puts the small files of each day together, where there are at least so many.
    pub(crate) async fn compact(
        &mut self,
        identity: &Identity,
        files_min: usize,
        now: Timestamp,
    ) -> Result<u64, ExportError> {
        self.refresh(identity).await?;
        let Some(snapshot) = &self.snapshot else { return Ok(0) };
        let mut compacted = 0;
        for group in groups(&snapshot.files, files_min) {
            compacted += self.put_together(identity, &group, now).await?;
        }
        Ok(compacted)
    }

    async fn put_together(
        &mut self,
        identity: &Identity,
        group: &[Add],
        now: Timestamp,
    ) -> Result<u64, ExportError> {
        let table = || self.table.name().to_owned();
        let Some(snapshot) = &self.snapshot else { return Ok(0) };
        let columns = schema::read(&snapshot.meta.schema_string)
            .map_err(|source| ExportError::Schema { table: table(), source })?;
        let ours = columns_of_files(&columns);
        if ours.len() + 1 != columns.len() {
            // Somebody else's columns are theirs to copy.
            return Ok(0);
        }
        let columns = Arc::new(Schema::new(schema::to_arrow(&ours)));
        let mut writer = file::writer(Arc::clone(&columns)).map_err(FileError::from)?;
        let mut stats = None;
        for add in group {
            // Of a file without ours nobody knows where it is in time.
            let Some(more) = add.stats.as_deref().and_then(read_stats) else { return Ok(0) };
            let bytes = self.table.get_data(&add.path).await?;
            let columns = Arc::clone(&columns);
            let job = move || append(writer, bytes, &columns);
            writer = match task::spawn_blocking("compact", job).await? {
                Ok(writer) => writer,
                // Others may have written a file anew, with types that are not ours.
                Err(ParquetError::ArrowError(_)) => return Ok(0),
                Err(error) => return Err(FileError::from(error).into()),
            };
            stats = Some(stats.map_or_else(|| more.clone(), |stats: Stats| stats.and(&more)));
        }
        let day = group.first().and_then(|add| add.partition_values.get(DATE)?.clone());
        let (Some(day), Some(stats)) = (day, stats) else { return Ok(0) };
        let mut large = file::data_file(&day, &stats, writer, now).map_err(FileError::from)?;
        large.add.data_change = false;
        self.table.put_data(&large.add.path, large.bytes.clone()).await?;
        let millis = now.as_micros() / 1_000;
        for _ in 0..TRIES_MAX {
            let Some(snapshot) = &self.snapshot else { break };
            if !group.iter().all(|add| snapshot.files.contains_key(&add.path)) {
                break;
            }
            let mut actions = vec![commit_info("OPTIMIZE", millis)];
            actions.extend(group.iter().map(|add| Action::Remove(add.removed(millis))));
            actions.push(Action::Add(large.add.clone()));
            let committed = self.table.commit(snapshot.version + 1, &actions).await?;
            self.committed(identity, now).await?;
            if committed == Committed::Done {
                return Ok(group.len() as u64);
            }
        }
        if !self.snapshot.as_ref().is_some_and(|snapshot| snapshot.names(&large.add.path)) {
            self.table.delete_data(&large.add.path).await;
        }
        Ok(0)
    }
}

/// Files that may become one, in the order in which they were written.
fn groups(files: &BTreeMap<String, Add>, files_min: usize) -> Vec<Vec<Add>> {
    let mut days = BTreeMap::<_, Vec<&Add>>::new();
    for add in files.values().filter(|add| add.size < SMALL_BYTES) {
        days.entry(add.partition_values.get(DATE)).or_default().push(add);
    }
    let mut groups = Vec::new();
    for (_, adds) in days.into_iter().filter(|(_, adds)| adds.len() >= files_min) {
        let (mut group, mut bytes) = (Vec::new(), 0);
        for add in adds {
            if bytes + add.size > LARGE_BYTES {
                groups.push(std::mem::take(&mut group));
                bytes = 0;
            }
            bytes += add.size;
            group.push(add.clone());
        }
        groups.push(group);
    }
    groups.retain(|group: &Vec<Add>| group.len() >= 2);
    groups
}

fn append(
    mut writer: ArrowWriter<Vec<u8>>,
    bytes: Bytes,
    schema: &Arc<Schema>,
) -> Result<ArrowWriter<Vec<u8>>, ParquetError> {
    for batch in ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()? {
        let batch = batch?;
        let by_name = |field: &Arc<ArrowField>| match batch.column_by_name(field.name()) {
            Some(array) => fitted(array, field.data_type()),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        };
        let columns = schema.fields().iter().map(by_name).collect::<Result<_, _>>()?;
        writer.write(&RecordBatch::try_new(Arc::clone(schema), columns)?)?;
    }
    Ok(writer)
}

/// What was written before a column got another member, with that one null.
fn fitted(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    match wanted {
        wanted if array.data_type() == wanted => Ok(Arc::clone(array)),
        DataType::Struct(fields) if matches!(array.data_type(), DataType::Struct(_)) => {
            let old = array.as_struct();
            let member = |field: &Arc<ArrowField>| match old.column_by_name(field.name()) {
                Some(array) => fitted(array, field.data_type()),
                None => Ok(new_null_array(field.data_type(), old.len())),
            };
            let members = fields.iter().map(member).collect::<Result<_, _>>()?;
            let nulls = old.nulls().cloned();
            let fitted =
                StructArray::try_new_with_length(fields.clone(), members, nulls, old.len())?;
            Ok(Arc::new(fitted))
        }
        DataType::List(item) if matches!(array.data_type(), DataType::List(_)) => {
            let old = array.as_list::<i32>();
            let items = fitted(old.values(), item.data_type())?;
            let (item, ends, nulls) =
                (Arc::clone(item), old.offsets().clone(), old.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(item, ends, items, nulls)?))
        }
        wanted => Err(ArrowError::SchemaError(format!("{} is no {wanted}", array.data_type()))),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    num_records: usize,
    min_values: Bounds,
    max_values: Bounds,
}

#[derive(Deserialize)]
struct Bounds {
    time: Timestamp,
    seq: i64,
}

fn read_stats(text: &str) -> Option<Stats> {
    let Read { num_records: rows, min_values: min, max_values: max } =
        serde_json::from_str(text).ok()?;
    let time = (min.time.as_micros(), max.time.as_micros());
    Some(Stats { rows, time, seq: (min.seq, max.seq) })
}
