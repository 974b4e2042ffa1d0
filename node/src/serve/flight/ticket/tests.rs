use proptest::prelude::*;
use tonic::Code;

use super::*;
use crate::serve::damaged::damaged;

const TICKETS: [&str; 3] = [
    r#"{"table":"token_transfers","from":"7:3","to":"9","filter":{"kind":["mint","burn"],"min_amount":"7"}}"#,
    r#"{"table":"ledgers","from":"53312000"}"#,
    r#"{"table":"live","from":"oldest","filter":{"asset":["native"]}}"#,
];

fn ledger(number: u32) -> LedgerSequence {
    LedgerSequence(number)
}

#[test]
fn a_ticket_is_json_that_a_person_can_write() {
    let check = |text: &str, expect: &str| {
        let ticket = Ticket::parse(text.as_bytes()).unwrap();
        assert_eq!(ticket.to_string(), expect);
        assert_eq!(Ticket::parse(expect.as_bytes()).unwrap(), ticket);
    };
    check(r#"{"table":"ledgers"}"#, r#"{"table":"ledgers"}"#);
    check(
        r#"{"to":"9", "from":"7:3" ,"table":"token_transfers"}"#,
        r#"{"table":"token_transfers","from":"7:3","to":"9"}"#,
    );
    check(
        r#"{"table":"token_transfers","from":"genesis"}"#,
        r#"{"table":"token_transfers","from":"oldest"}"#,
    );
    check(r#"{"table":"live","from":null}"#, r#"{"table":"live"}"#);
    check(
        r#"{"table":"live","from":"latest","filter":{"kind":["mint","burn"],"min_amount":"7"}}"#,
        r#"{"table":"live","from":"latest","filter":{"kind":["mint","burn"],"min_amount":"7"}}"#,
    );
}

#[test]
fn whatever_else_is_refused_with_what_to_do() {
    let check = |text: &str, code: Code, says: &str| {
        let status = Ticket::parse(text.as_bytes()).unwrap_err();
        assert_eq!(status.code(), code, "{text}: {status}");
        assert!(status.message().contains(says), "{text}: {status}");
        assert!(status.message().len() < 2_000, "{text}");
    };
    use Code::{InvalidArgument, NotFound};
    check("", InvalidArgument, r#"give {"table":"#);
    check("live", InvalidArgument, r#"give {"table":"#);
    check("[]", InvalidArgument, "give {");
    check("{}", InvalidArgument, "missing field `table`");
    check(r#"{"table":"live"} x"#, InvalidArgument, "trailing");
    check(r#"{"table":"live","table":"live"}"#, InvalidArgument, "duplicate");
    check(r#"{"table":"live","form":"7"}"#, InvalidArgument, "unknown field `form`");
    check(r#"{"table":"live","from":7}"#, InvalidArgument, "invalid type: integer `7`");
    check(r#"{"table":"live","from":"yesterday"}"#, InvalidArgument, "give latest, oldest, or the cursor");
    check(r#"{"table":"live","to":"7"}"#, InvalidArgument, "live has no end");
    check(r#"{"table":"live","filter":{"kind":["gift"]}}"#, InvalidArgument, "filter.kind");
    check(r#"{"table":"live","filter":{"colour":["red"]}}"#, InvalidArgument, "unknown field `colour`");
    check(r#"{"table":"ledgers","filter":{"kind":["fee"]}}"#, InvalidArgument, "it is for events");
    check(r#"{"table":"ledgers","from":"latest"}"#, InvalidArgument, "what comes is `live`");
    check(r#"{"table":"ledgers","to":"latest"}"#, InvalidArgument, "give the number of a ledger");
    check(r#"{"table":"ledgers","to":"+7"}"#, InvalidArgument, "give the number of a ledger");
    check(r#"{"table":"trades"}"#, NotFound, "there are token_transfers, ledgers and live");
    check(&format!(r#"{{"table":"{}"}}"#, "x".repeat(60_000)), NotFound, "there is no flight");
    check(&format!(r#"{{"table":"live","{}":1}}"#, "x".repeat(60_000)), InvalidArgument, "give {");
    check(&" ".repeat(TICKET_BYTES_MAX + 1), InvalidArgument, "may have 65536");
    let deep = format!(r#"{{"table":"live","filter":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    check(&deep, InvalidArgument, "give {");
}

#[test]
fn what_is_not_there_is_not_left_out_silently() {
    type Expect<'a> = Result<(u32, u32, u32), (Code, &'a str)>;
    let check = |from: Option<&str>, to: Option<u32>, expect: Expect<'_>| {
        let from = from.map(|from| from.parse().unwrap());
        let ticket = Ticket { from, to: to.map(ledger), ..Ticket::all(Flight::TokenTransfers) };
        match (ticket.part(Held { oldest: ledger(10), tip: ledger(20) }), expect) {
            (Ok(part), expect) => {
                assert_eq!(Ok((part.first.ledger.0, part.first.event, part.last.0)), expect);
            }
            (Err(status), Err((code, says))) => {
                assert_eq!(status.code(), code, "{status}");
                assert!(status.message().contains(says), "{status}");
            }
            (Err(status), Ok(_)) => panic!("{ticket}: {status}"),
        }
    };
    use Code::{InvalidArgument, OutOfRange};
    check(None, None, Ok((10, 0, 20)));
    check(Some("oldest"), Some(15), Ok((10, 0, 15)));
    check(Some("9"), None, Ok((10, 0, 20)));
    check(Some("12:3"), Some(12), Ok((12, 4, 12)));
    check(Some("12"), Some(12), Ok((13, 0, 12)));
    check(Some("20"), None, Ok((21, 0, 20)));
    check(Some("8"), None, Err((OutOfRange, "cursor_too_old: 8")));
    check(Some("9:7"), None, Err((OutOfRange, "here are ledgers 10 to 20")));
    check(Some("21"), None, Err((OutOfRange, "cursor_ahead: 21")));
    check(Some("4294967295"), None, Err((OutOfRange, "cursor_ahead")));
    check(None, Some(21), Err((OutOfRange, "leave it out")));
    check(None, Some(9), Err((OutOfRange, "not here any more")));
    check(Some("15"), Some(14), Err((InvalidArgument, "before where `from` begins")));
}

#[test]
fn tickets_of_a_range_join_without_a_seam() {
    let ticket =
        Ticket::parse(br#"{"table":"token_transfers","from":"12:3","filter":{"kind":["fee"]}}"#).unwrap();
    let part = ticket.part(Held { oldest: ledger(10), tip: ledger(20) }).unwrap();
    let ranges = [(ledger(12), ledger(14)), (ledger(15), ledger(20))];
    let found: Vec<_> = ticket.cut(part, &ranges).iter().map(Ticket::to_string).collect();
    let expect = [
        r#"{"table":"token_transfers","from":"12:3","to":"14","filter":{"kind":["fee"]}}"#,
        r#"{"table":"token_transfers","from":"14","to":"20","filter":{"kind":["fee"]}}"#,
    ];
    assert_eq!(found, expect);
    let whole = Ticket::all(Flight::Ledgers).cut(part, &[(ledger(12), ledger(20))]);
    assert_eq!(whole[0].to_string(), r#"{"table":"ledgers","from":"11","to":"20"}"#);
}

proptest! {
    #[test]
    fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Ticket::parse(&bytes).is_err());
    }

    #[test]
    fn what_is_almost_a_ticket_is_read_or_refused(bytes in damaged(TICKETS.to_vec())) {
        match Ticket::parse(&bytes) {
            // What is read is written so that it reads as the same.
            Ok(ticket) => prop_assert_eq!(Ticket::parse(ticket.to_string().as_bytes()).unwrap(), ticket),
            Err(status) => {
                let codes = [Code::InvalidArgument, Code::NotFound];
                prop_assert!(codes.contains(&status.code()) && status.message().len() < 2_000);
            },
        }
    }

    #[test]
    fn what_is_read_is_inside_of_what_is_there(
        from in proptest::option::of((0_u32..30, proptest::option::of(0_u32..3))),
        to in proptest::option::of(0_u32..30),
        oldest in 1_u32..20,
        ledgers in 0_u32..10,
    ) {
        let held = Held { oldest: ledger(oldest), tip: ledger(oldest + ledgers) };
        let from = from.map(|(at, event)| From::Behind(Cursor { ledger: ledger(at), event }));
        let ticket = Ticket { from, to: to.map(ledger), ..Ticket::all(Flight::TokenTransfers) };
        if let Ok(part) = ticket.part(held) {
            prop_assert!(held.oldest <= part.first.ledger && part.last <= held.tip);
            prop_assert!(part.first.ledger.0 <= part.last.0 + 1);
        }
    }
}
