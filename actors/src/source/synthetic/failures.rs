//! Operations of transactions that fail. What came before the failing one has a success result, but nothing of it
//! happened: readers that look at operation results alone are wrong here.

use stellar_xdr::{
    CreateAccountOp, CreateAccountResult, ManageSellOfferOp, ManageSellOfferResult, Operation, OperationBody,
    OperationResult, OperationResultTr, PathPaymentStrictReceiveOp, PathPaymentStrictReceiveResult,
    PaymentOp, PaymentResult, Price,
};

use super::{
    assets::{AssetIx, CREDITS, NATIVE},
    operation::Executor,
    xdr::{list, muxed},
};

impl Executor<'_> {
    /// The operations and results of a transaction that fails in the last of `count` operations.
    pub(super) fn failing(&mut self, count: usize) -> (Vec<Operation>, Vec<OperationResult>) {
        let mut parts = Vec::with_capacity(count);
        for _ in 1..count {
            parts.push(self.failing_payment(PaymentResult::Success));
        }
        let last = self.failing_operation();
        parts.push(last);
        parts
            .into_iter()
            .map(|(body, result)| {
                (Operation { source_account: None, body }, OperationResult::OpInner(result))
            })
            .unzip()
    }

    fn failing_payment(&mut self, result: PaymentResult) -> (OperationBody, OperationResultTr) {
        let to = self.random.pick(&self.world.users);
        let operation = PaymentOp {
            destination: muxed(self.world.key(to), None),
            asset: self.asset(NATIVE),
            amount: self.random.amount(i64::MAX),
        };
        (OperationBody::Payment(operation), OperationResultTr::Payment(result))
    }

    fn failing_operation(&mut self) -> (OperationBody, OperationResultTr) {
        let asset = AssetIx(1 + self.random.below(u64::from(CREDITS)) as u16);
        match self.random.below(8) {
            0 => self.failing_payment(PaymentResult::Underfunded),
            1 => {
                let starting_balance = 10_000_000;
                let destination = self.account_id(self.world.users[0]);
                (
                    OperationBody::CreateAccount(CreateAccountOp { destination, starting_balance }),
                    OperationResultTr::CreateAccount(CreateAccountResult::AlreadyExist),
                )
            }
            2..5 => (
                OperationBody::ManageSellOffer(ManageSellOfferOp {
                    selling: self.asset(NATIVE),
                    buying: self.asset(asset),
                    amount: self.random.amount(i64::MAX),
                    price: Price { n: 1, d: 3 },
                    offer_id: 1 + self.random.below(1 << 30) as i64,
                }),
                OperationResultTr::ManageSellOffer(ManageSellOfferResult::NotFound),
            ),
            _ => self.failing_path(asset),
        }
    }

    /// The arbitrage attempts that fill pubnet: the cycle did not pay.
    fn failing_path(&mut self, asset: AssetIx) -> (OperationBody, OperationResultTr) {
        let amount = self.random.amount(i64::MAX);
        let operation = PathPaymentStrictReceiveOp {
            send_asset: self.asset(NATIVE),
            send_max: amount,
            destination: muxed(self.tx.source_key, None),
            dest_asset: self.asset(NATIVE),
            dest_amount: amount,
            path: list(vec![self.asset(asset)]),
        };
        let result = PathPaymentStrictReceiveResult::OverSendmax;
        (
            OperationBody::PathPaymentStrictReceive(operation),
            OperationResultTr::PathPaymentStrictReceive(result),
        )
    }
}
