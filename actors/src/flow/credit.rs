//! Permission to send one batch, granted by whoever receives it.

use thiserror::Error;

/// What a sender may still send. The sender alone writes it; it ends with the pipeline's incarnation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credits {
    left: u32,
}

/// A batch was to be sent without permission: a bug of the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("FLOW-1: a batch was to be sent without a credit")]
pub struct NoCredit;

impl Credits {
    /// Adds what the receiver granted.
    pub fn grant(&mut self, credits: u32) {
        self.left = self.left.saturating_add(credits);
    }

    /// Takes one for a batch that is sent now.
    ///
    /// # Errors
    ///
    /// [`NoCredit`] if there is none.
    pub fn spend(&mut self) -> Result<(), NoCredit> {
        self.left = self.left.checked_sub(1).ok_or(NoCredit)?;
        Ok(())
    }

    /// Batches that may be sent now.
    pub fn left(&self) -> u32 {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_sent_than_was_granted() {
        let mut credits = Credits::default();
        assert_eq!(credits.spend(), Err(NoCredit));
        credits.grant(2);
        assert_eq!((credits.spend(), credits.spend()), (Ok(()), Ok(())));
        assert_eq!((credits.spend(), credits.left()), (Err(NoCredit), 0));
    }
}
