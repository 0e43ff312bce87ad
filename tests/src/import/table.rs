//! The two parquet files as rows of Rust types, a page in memory at a time, and the products of the
//! data set by number.

use std::{
    collections::HashMap,
    fs::File,
    path::Path,
    sync::{Arc, LazyLock},
};

use anyhow::{Context, Result, anyhow, ensure};
use domain::timestamp::Timestamp;
use parquet::{
    column::reader::ColumnReaderImpl,
    data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type, Int96, Int96Type},
    file::reader::{FileReader, RowGroupReader, SerializedFileReader},
};

use super::number::{BasketNumber, Cents, ProductNumber};

const ROWS_PER_READ: usize = 8_192;
/// The department of what was sold and is not in the catalogue.
static UNKNOWN: LazyLock<Arc<str>> = LazyLock::new(|| "UNKNOWN".into());

/// A line of a receipt, as the till recorded it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sale {
    pub(crate) household: u64,
    pub(crate) basket: BasketNumber,
    pub(crate) product: ProductNumber,
    pub(crate) quantity: u32,
    /// What was paid for the whole line.
    pub(crate) value: Cents,
    /// What the loyalty card took off before that.
    pub(crate) retail_discount: Cents,
    /// What the grocer added to a maker's coupon.
    pub(crate) coupon_match: Cents,
    pub(crate) at: Timestamp,
}

/// A product of the catalogue; the data set has no names and no prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogueRow {
    pub(crate) product: ProductNumber,
    pub(crate) manufacturer: i64,
    pub(crate) department: Arc<str>,
    pub(crate) brand: String,
    pub(crate) category: Option<String>,
    pub(crate) product_type: Option<String>,
    pub(crate) package_size: Option<String>,
}

/// The products of the data set by number.
#[derive(Debug, Default)]
pub(crate) struct Catalogue(HashMap<ProductNumber, CatalogueRow>);

impl Catalogue {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        catalogue(path)?.collect()
    }

    pub(crate) fn get(&self, product: ProductNumber) -> Option<&CatalogueRow> {
        self.0.get(&product)
    }

    /// The department of a product, and whether the catalogue knows the product.
    pub(crate) fn department(&self, product: ProductNumber) -> (Arc<str>, bool) {
        match self.get(product) {
            Some(row) => (Arc::clone(&row.department), true),
            None => (Arc::clone(&UNKNOWN), false),
        }
    }
}

impl FromIterator<CatalogueRow> for Catalogue {
    fn from_iter<I: IntoIterator<Item = CatalogueRow>>(rows: I) -> Self {
        Self(rows.into_iter().map(|row| (row.product, row)).collect())
    }
}

/// The lines of `transactions.parquet` in the order of the file. Each can fail on its own.
pub(crate) fn sales(path: &Path) -> Result<impl Iterator<Item = Result<Sale>>> {
    rows(path, |group| {
        let mut household = Column::<Int64Type>::open(group, "household_id")?;
        let mut basket = Column::<Int64Type>::open(group, "basket_id")?;
        let mut product = Column::<Int64Type>::open(group, "product_id")?;
        let mut quantity = Column::<Int64Type>::open(group, "quantity")?;
        let mut value = Column::<DoubleType>::open(group, "sales_value")?;
        let mut retail_discount = Column::<DoubleType>::open(group, "retail_disc")?;
        let mut coupon_match = Column::<DoubleType>::open(group, "coupon_match_disc")?;
        let mut at = Column::<Int96Type>::open(group, "transaction_timestamp")?;
        Ok(move || {
            Ok(Sale {
                household: number(household.required()?)?,
                basket: BasketNumber(number(basket.required()?)?),
                product: ProductNumber(number(product.required()?)?),
                quantity: u32::try_from(quantity.required()?).context("column quantity")?,
                value: Cents::from_dollars(value.required()?)?,
                retail_discount: Cents::from_dollars(retail_discount.required()?)?,
                coupon_match: Cents::from_dollars(coupon_match.required()?)?,
                at: Timestamp::from_micros(Int96::to_micros(&at.required()?)),
            })
        })
    })
}

/// The rows of `products.parquet`. Each can fail on its own.
fn catalogue(path: &Path) -> Result<impl Iterator<Item = Result<CatalogueRow>>> {
    rows(path, |group| {
        let mut product = Column::<Int64Type>::open(group, "product_id")?;
        let mut manufacturer = Column::<Int64Type>::open(group, "manufacturer_id")?;
        let mut department = Column::<ByteArrayType>::open(group, "department")?;
        let mut brand = Column::<ByteArrayType>::open(group, "brand")?;
        let mut category = Column::<ByteArrayType>::open(group, "product_category")?;
        let mut product_type = Column::<ByteArrayType>::open(group, "product_type")?;
        let mut package_size = Column::<ByteArrayType>::open(group, "package_size")?;
        Ok(move || {
            Ok(CatalogueRow {
                product: ProductNumber(number(product.required()?)?),
                manufacturer: manufacturer.required()?,
                department: text(&department.required()?)?.into(),
                brand: text(&brand.required()?)?,
                category: category.next()?.as_ref().map(text).transpose()?,
                product_type: product_type.next()?.as_ref().map(text).transpose()?,
                package_size: package_size.next()?.as_ref().map(text).transpose()?,
            })
        })
    })
}

/// Reads one row group after the other; `open` makes the function that reads a group's next row.
fn rows<T, F>(
    path: &Path,
    open: impl Fn(&dyn RowGroupReader) -> Result<F>,
) -> Result<impl Iterator<Item = Result<T>>>
where
    F: FnMut() -> Result<T>,
{
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let file = SerializedFileReader::new(file)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let groups = 0..file.num_row_groups();
    Ok(groups.flat_map(move |index| {
        // A group that cannot be opened is one error in the place of its rows.
        let (group, broken) = match open_group(&file, index, &open) {
            Ok(group) => (Some(group), None),
            Err(error) => (None, Some(Err(error))),
        };
        let rows = |(count, mut read): (i64, F)| (0..count).map(move |_| read());
        group.into_iter().flat_map(rows).chain(broken)
    }))
}

fn open_group<F>(
    file: &SerializedFileReader<File>,
    index: usize,
    open: &impl Fn(&dyn RowGroupReader) -> Result<F>,
) -> Result<(i64, F)> {
    let group = file.get_row_group(index)?;
    Ok((group.metadata().num_rows(), open(group.as_ref())?))
}

/// One column of a row group, read ahead by a few thousand rows.
struct Column<T: DataType> {
    name: &'static str,
    reader: ColumnReaderImpl<T>,
    values: Vec<T::T>,
    /// 1 where the row has a value, 0 where it is null.
    levels: Vec<i16>,
    value_index: usize,
    level_index: usize,
}

impl<T: DataType> Column<T> {
    fn open(group: &dyn RowGroupReader, name: &'static str) -> Result<Self> {
        let columns = group.metadata().schema_descr().columns();
        let index = columns
            .iter()
            .position(|column| column.name() == name)
            .with_context(|| format!("there is no column {name}"))?;
        ensure!(columns.get(index).is_some_and(|c| c.max_rep_level() == 0), "{name} is a list");
        let reader = T::get_column_reader(group.get_column_reader(index)?)
            .with_context(|| format!("column {name} has another type"))?;
        let (values, levels) = (Vec::new(), Vec::new());
        Ok(Self { name, reader, values, levels, value_index: 0, level_index: 0 })
    }

    fn required(&mut self) -> Result<T::T> {
        let name = self.name;
        self.next()?.ok_or_else(|| anyhow!("column {name} has a null"))
    }

    fn next(&mut self) -> Result<Option<T::T>> {
        if self.level_index == self.levels.len() {
            self.values.clear();
            self.levels.clear();
            (self.value_index, self.level_index) = (0, 0);
            self.reader.read_records(
                ROWS_PER_READ,
                Some(&mut self.levels),
                None,
                &mut self.values,
            )?;
        }
        let level = self.levels.get(self.level_index);
        let level = *level.with_context(|| format!("column {} is too short", self.name))?;
        self.level_index += 1;
        if level == 0 {
            return Ok(None);
        }
        let value = self.values.get(self.value_index).cloned();
        self.value_index += 1;
        Ok(value)
    }
}

fn number(value: i64) -> Result<u64> {
    u64::try_from(value).context("a number of the data set is negative")
}

fn text(value: &ByteArray) -> Result<String> {
    Ok(value.as_utf8()?.to_owned())
}

/// Small made-up receipts for the tests of the import.
#[cfg(test)]
pub(crate) mod samples {
    use super::*;

    pub(crate) fn sale(basket: u64, product: u64, quantity: u32, cents: i64) -> Sale {
        Sale {
            household: basket + 100,
            basket: BasketNumber(basket),
            product: ProductNumber(product),
            quantity,
            value: Cents(cents),
            retail_discount: Cents(0),
            coupon_match: Cents(0),
            at: at("2017-01-02T10:00:00Z"),
        }
    }

    pub(crate) fn at(text: &str) -> Timestamp {
        text.parse().expect("an RFC 3339 time")
    }

    pub(crate) fn catalogue(products: &[(u64, &str)]) -> Catalogue {
        let row = |&(product, department): &(u64, &str)| CatalogueRow {
            product: ProductNumber(product),
            manufacturer: 1,
            department: department.into(),
            brand: "National".to_owned(),
            category: Some("BREAD".to_owned()),
            product_type: None,
            package_size: Some("22 LB".to_owned()),
        };
        products.iter().map(row).collect()
    }
}
