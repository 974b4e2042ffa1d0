//! What a sink's credits mean when batches are split on their way to it: it takes parts, the processor counts batches.

use std::collections::VecDeque;

use super::error::ExchangeError;
use crate::flow::Credits;

/// Counts parts and the batches that they are of. The end that sends events writes it; it ends with the stream.
#[derive(Debug, Default)]
pub(super) struct PartCredits {
    parts: Credits,
    /// The sink said how many it takes at a time.
    begun: bool,
    /// Parts not yet taken, of each batch that was begun, oldest first.
    outstanding: VecDeque<u32>,
    /// Parts that were sent and not taken.
    sent: u32,
}

impl PartCredits {
    /// The sink takes so many more. Gives the batches that the processor may send for it.
    ///
    /// # Errors
    ///
    /// It took more than was sent.
    pub(super) fn grant(&mut self, credits: u32) -> Result<u32, ExchangeError> {
        self.parts.grant(credits);
        if !std::mem::replace(&mut self.begun, true) {
            return Ok(credits);
        }
        let sent = self.sent.checked_sub(credits);
        self.sent = sent.ok_or(ExchangeError::Credit("a sink took more batches than it was sent"))?;
        let (mut left, mut batches) = (credits, 0);
        while let Some(parts) = self.outstanding.front_mut() {
            let taken = left.min(*parts);
            *parts -= taken;
            left -= taken;
            if *parts > 0 {
                break;
            }
            self.outstanding.pop_front();
            batches += 1;
        }
        Ok(batches)
    }

    /// A batch is begun that is sent in so many parts.
    pub(super) fn begin(&mut self, parts: u32) {
        self.outstanding.push_back(parts);
    }

    /// Parts that may be sent now.
    pub(super) fn left(&self) -> u32 {
        self.parts.left()
    }

    /// Takes a credit for a part that is sent now.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(super) fn spend(&mut self) -> Result<(), ExchangeError> {
        self.parts
            .spend()
            .map_err(|_| ExchangeError::Credit("a part of a batch was to be sent without a credit"))?;
        self.sent += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_batch_comes_back_when_its_last_part_is_taken() {
        let mut credits = PartCredits::default();
        assert_eq!(credits.grant(4).unwrap(), 4);
        credits.begin(3);
        credits.begin(1);
        (0..4).for_each(|_| credits.spend().unwrap());
        assert!(credits.spend().is_err());
        assert_eq!(credits.grant(1).unwrap(), 0);
        assert_eq!(credits.grant(1).unwrap(), 0);
        assert_eq!(credits.grant(2).unwrap(), 2);
        let error = credits.grant(1).unwrap_err().to_string();
        assert_eq!(error, "FLOW-1: a sink took more batches than it was sent");
    }

    proptest! {
        #[test]
        fn as_many_batches_come_back_as_were_sent(batches in proptest::collection::vec(1_u32..9, 1..50), at_a_time in 1_u32..20) {
            let mut credits = PartCredits::default();
            let (mut may_send, mut in_flight) = (credits.grant(at_a_time).unwrap(), 0);
            for parts in &batches {
                while may_send == 0 {
                    may_send += credits.grant(1).unwrap();
                    in_flight -= 1;
                }
                may_send -= 1;
                credits.begin(*parts);
                for _ in 0..*parts {
                    while credits.left() == 0 {
                        may_send += credits.grant(1).unwrap();
                        in_flight -= 1;
                    }
                    credits.spend().unwrap();
                    in_flight += 1;
                    prop_assert!(in_flight <= at_a_time);
                }
            }
            may_send += credits.grant(in_flight).unwrap();
            prop_assert_eq!(may_send, at_a_time);
        }
    }
}
