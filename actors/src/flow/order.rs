//! Order restored: numbered items come in as they are done and go out by their numbers.

use std::collections::BTreeMap;

/// Holds items until all earlier ones are out. Whoever bounds how many are under way bounds what it holds.
#[derive(Debug)]
pub struct InOrder<T> {
    next: u64,
    waiting: BTreeMap<u64, T>,
}

impl<T> InOrder<T> {
    /// Nothing is out yet; number 0 is the first.
    pub fn new() -> Self {
        Self { next: 0, waiting: BTreeMap::new() }
    }

    /// Takes item `number`, which is not yet out and comes once.
    pub fn insert(&mut self, number: u64, item: T) {
        debug_assert!(number >= self.next, "item {number} came after it was out");
        self.waiting.insert(number, item);
    }

    /// The item whose turn it is, if it is here.
    pub fn peek(&self) -> Option<&T> {
        self.waiting.get(&self.next)
    }

    /// Takes the item whose turn it is, if it is here.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.waiting.remove(&self.next)?;
        self.next += 1;
        Some(item)
    }

    /// Items that wait, whether for their turn or to be taken.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn items_come_out_by_number_whatever_order_they_came_in(order in Just((0..50_u64).collect::<Vec<_>>()).prop_shuffle()) {
            let (mut items, mut out) = (InOrder::new(), Vec::new());
            for (done, &number) in order.iter().enumerate() {
                items.insert(number, number);
                while let Some(item) = items.pop() {
                    out.push(item);
                }
                prop_assert_eq!(out.len() + items.len(), done + 1);
            }
            prop_assert_eq!(out, (0..50).collect::<Vec<_>>());
        }
    }
}
