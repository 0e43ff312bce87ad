//! Columns that are being built, as deep as they are.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, ListArray, MapArray, StructArray,
    builder::{
        BooleanBuilder, Date32Builder, Float64Builder, Int32Builder, Int64Builder,
        NullBufferBuilder, StringBuilder, TimestampMicrosecondBuilder,
    },
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, Field as ArrowField, Fields};
use serde::de::Error;

use crate::export::delta::{Field, Kind, schema};

/// The members of objects, a column each.
pub(super) struct Object {
    pub(super) members: Vec<Member>,
    /// Of structs within others only; a row is there whatever it has.
    pub(super) nulls: NullBufferBuilder,
    pub(super) length: usize,
    pub(super) fields: Fields,
    pub(super) is_row: bool,
}

pub(super) struct Member {
    pub(super) name: String,
    pub(super) column: Column,
    pub(super) is_set: bool,
}

pub(super) enum Column {
    Text(StringBuilder),
    Json(StringBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Double(Float64Builder),
    Boolean(BooleanBuilder),
    Time(TimestampMicrosecondBuilder),
    Date(Date32Builder),
    Struct(Object),
    List(Many),
    /// Its keys, and its values.
    Map(StringBuilder, Many),
}

/// Items of lists, or values of maps.
pub(super) struct Many {
    pub(super) items: Box<Column>,
    pub(super) ends: Vec<i32>,
    pub(super) count: i32,
    pub(super) nulls: NullBufferBuilder,
    /// Of the whole.
    pub(super) field: Arc<ArrowField>,
}

impl Object {
    /// Of whole rows, which may have members without a column.
    pub(super) fn of_rows(fields: &[Field]) -> Self {
        Self { is_row: true, ..Self::new(fields) }
    }

    /// A column for each member.
    pub(super) fn finish(self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.members.into_iter().map(|member| member.column.finish()).collect()
    }

    pub(super) fn new(fields: &[Field]) -> Self {
        let members = fields.iter().map(|Field { name, kind }| Member {
            name: name.clone(),
            column: Column::new(kind),
            is_set: false,
        });
        let (members, nulls) = (members.collect(), NullBufferBuilder::new(0));
        Self { members, nulls, length: 0, fields: schema::to_arrow(fields), is_row: false }
    }

    pub(super) fn null(&mut self) {
        self.nulls.append_null();
        self.length += 1;
        self.members.iter_mut().for_each(|member| member.column.null());
    }
}

impl Many {
    fn new(item: &Kind, field: Arc<ArrowField>) -> Self {
        let nulls = NullBufferBuilder::new(0);
        Self { items: Box::new(Column::new(item)), ends: vec![0], count: 0, nulls, field }
    }

    pub(super) fn end(&mut self, is_there: bool) {
        self.ends.push(self.count);
        self.nulls.append(is_there);
    }

    pub(super) fn count_one<E: Error>(&mut self) -> Result<(), E> {
        let next = self.count.checked_add(1);
        self.count = next.ok_or_else(|| E::custom("too many items in one batch"))?;
        Ok(())
    }
}

impl Column {
    fn new(kind: &Kind) -> Self {
        match kind {
            Kind::Text | Kind::Other(_) => Self::Text(StringBuilder::new()),
            Kind::Json => Self::Json(StringBuilder::new()),
            Kind::Int => Self::Int(Int32Builder::new()),
            Kind::Long => Self::Long(Int64Builder::new()),
            Kind::Double => Self::Double(Float64Builder::new()),
            Kind::Boolean => Self::Boolean(BooleanBuilder::new()),
            Kind::Time => {
                let builder = TimestampMicrosecondBuilder::new();
                Self::Time(builder.with_data_type(kind.to_arrow()))
            }
            Kind::Date => Self::Date(Date32Builder::new()),
            Kind::Struct(fields) => Self::Struct(Object::new(fields)),
            Kind::List(item) => Self::List(Many::new(item, item.as_item())),
            Kind::Map(value) => {
                Self::Map(StringBuilder::new(), Many::new(value, value.as_entries()))
            }
        }
    }

    pub(super) fn null(&mut self) {
        match self {
            Self::Text(texts) | Self::Json(texts) => texts.append_null(),
            Self::Int(numbers) => numbers.append_null(),
            Self::Long(numbers) => numbers.append_null(),
            Self::Double(numbers) => numbers.append_null(),
            Self::Boolean(flags) => flags.append_null(),
            Self::Time(times) => times.append_null(),
            Self::Date(days) => days.append_null(),
            Self::Struct(object) => object.null(),
            Self::List(many) | Self::Map(_, many) => many.end(false),
        }
    }

    pub(super) fn finish(self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Text(mut texts) | Self::Json(mut texts) => Arc::new(texts.finish()),
            Self::Int(mut numbers) => Arc::new(numbers.finish()),
            Self::Long(mut numbers) => Arc::new(numbers.finish()),
            Self::Double(mut numbers) => Arc::new(numbers.finish()),
            Self::Boolean(mut flags) => Arc::new(flags.finish()),
            Self::Time(mut times) => Arc::new(times.finish()),
            Self::Date(mut days) => Arc::new(days.finish()),
            Self::Struct(Object { members, mut nulls, length, fields, .. }) => {
                let arrays = members.into_iter().map(|member| member.column.finish());
                let arrays = arrays.collect::<Result<_, _>>()?;
                Arc::new(StructArray::try_new_with_length(fields, arrays, nulls.finish(), length)?)
            }
            Self::List(Many { items, ends, mut nulls, field, .. }) => {
                let ends = OffsetBuffer::new(ends.into());
                Arc::new(ListArray::try_new(field, ends, items.finish()?, nulls.finish())?)
            }
            Self::Map(mut keys, Many { items, ends, mut nulls, field, .. }) => {
                let DataType::Struct(fields) = field.data_type() else {
                    return Err(ArrowError::SchemaError("a map has entries".to_owned()));
                };
                let arrays = vec![Arc::new(keys.finish()) as ArrayRef, items.finish()?];
                let entries = StructArray::try_new(fields.clone(), arrays, None)?;
                let ends = OffsetBuffer::new(ends.into());
                Arc::new(MapArray::try_new(field, ends, entries, nulls.finish(), false)?)
            }
        })
    }
}
