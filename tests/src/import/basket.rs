//! Lines of receipts become baskets: what one household carried to the till at once.

use std::{collections::HashSet, iter::Peekable};

use anyhow::{Result, bail};
use domain::timestamp::Timestamp;

use super::{
    number::{BasketNumber, Cents, ProductNumber},
    table::Sale,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Basket {
    pub(crate) number: BasketNumber,
    pub(crate) household: u64,
    pub(crate) at: Timestamp,
    /// One per product, with a quantity of at least 1. A basket may have none: it counts as one of
    /// those asked for, and becomes no order.
    pub(crate) lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) product: ProductNumber,
    pub(crate) quantity: u32,
    pub(crate) value: Cents,
    pub(crate) retail_discount: Cents,
    pub(crate) coupon_match: Cents,
}

/// Groups neighbouring lines by basket.
pub(crate) struct Baskets<I: Iterator<Item = Result<Sale>>> {
    sales: Peekable<I>,
    seen: HashSet<BasketNumber>,
}

impl<I: Iterator<Item = Result<Sale>>> Baskets<I> {
    pub(crate) fn new(sales: I) -> Self {
        Self { sales: sales.peekable(), seen: HashSet::new() }
    }

    fn basket(&mut self, first: &Sale) -> Result<Basket> {
        let Sale { basket: number, household, at, .. } = *first;
        if !self.seen.insert(number) {
            bail!("the lines of basket {} do not stand together", number.0);
        }
        let mut lines = Vec::new();
        add(&mut lines, first)?;
        let same = |next: &Result<Sale>| next.as_ref().is_ok_and(|sale| sale.basket == number);
        while let Some(sale) = self.sales.next_if(same) {
            add(&mut lines, &sale?)?;
        }
        Ok(Basket { number, household, at, lines })
    }
}

impl<I: Iterator<Item = Result<Sale>>> Iterator for Baskets<I> {
    type Item = Result<Basket>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.sales.next()?.and_then(|first| self.basket(&first)))
    }
}

/// A cart has one line per product, so lines of the same product become one.
fn add(lines: &mut Vec<Line>, sale: &Sale) -> Result<()> {
    if sale.quantity == 0 {
        return Ok(());
    }
    let Some(line) = lines.iter_mut().find(|line| line.product == sale.product) else {
        lines.push(Line {
            product: sale.product,
            quantity: sale.quantity,
            value: sale.value,
            retail_discount: sale.retail_discount,
            coupon_match: sale.coupon_match,
        });
        return Ok(());
    };
    let Some(quantity) = line.quantity.checked_add(sale.quantity) else {
        bail!("basket {} has too much of product {}", sale.basket.0, sale.product);
    };
    line.quantity = quantity;
    line.value += sale.value;
    line.retail_discount += sale.retail_discount;
    line.coupon_match += sale.coupon_match;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::table::samples::sale;

    fn group(sales: Vec<Sale>) -> Result<Vec<Basket>> {
        Baskets::new(sales.into_iter().map(Ok)).collect()
    }

    #[test]
    fn lines_of_one_product_are_merged_and_zeros_left_out() {
        let baskets = group(vec![
            sale(1, 7, 2, 300),
            sale(1, 8, 0, 0),
            sale(1, 7, 1, 99),
            sale(2, 7, 1, 150),
        ])
        .unwrap();
        let found: Vec<_> = baskets
            .iter()
            .map(|b| (b.number.0, b.lines.iter().map(|l| (l.product.0, l.quantity, l.value.0))))
            .map(|(number, lines)| (number, lines.collect::<Vec<_>>()))
            .collect();
        assert_eq!(found, [(1, vec![(7, 3, 399)]), (2, vec![(7, 1, 150)])]);
    }

    #[test]
    fn a_basket_of_nothing_is_a_basket() {
        let baskets = group(vec![sale(1, 7, 0, 0)]).unwrap();
        assert_eq!(baskets.len(), 1);
        assert!(baskets.iter().all(|basket| basket.lines.is_empty()));
    }

    #[test]
    fn a_basket_that_comes_back_is_an_error() {
        assert!(group(vec![sale(1, 7, 1, 1), sale(2, 7, 1, 1), sale(1, 8, 1, 1)]).is_err());
    }
}
