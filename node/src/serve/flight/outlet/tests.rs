use futures::StreamExt;
use orrery_actors::dataset::TableKind;
use orrery_actors::feed::RowEncoder;
use orrery_schemas::LedgerSequence;

use super::*;

fn cursor(ledger: u32) -> Cursor {
    Cursor::behind(LedgerSequence(ledger))
}

/// Sends ledgers without an end.
async fn endless(outlet: Outlet) -> Result<(), Status> {
    let mut encoder = RowEncoder::new(TableKind::Ledgers).unwrap();
    outlet.schema(encoder.schema()).await?;
    for ledger in 7.. {
        outlet.rows(encoder.nothing().unwrap(), cursor(ledger), None).await?;
    }
    Ok(())
}

fn metadata(sent: &Sent) -> String {
    match sent {
        Ok(data) => String::from_utf8(data.app_metadata.to_vec()).unwrap(),
        Err(status) => format!("{:?}: {}", status.code(), status.message()),
    }
}

#[tokio::test]
async fn who_takes_nothing_is_told_where_to_go_on() {
    let stopping = watch::Sender::new(false);
    let held = Arc::new(());
    let (work, stream) = stream(stopping.subscribe(), Duration::ZERO, held.clone(), endless);
    work.await;
    assert_eq!(Arc::strong_count(&held), 2, "what was made is still to be taken");
    let sent: Vec<_> = stream.map(|sent| metadata(&sent)).collect().await;
    let end = r#"ResourceExhausted: the reader took nothing for 0 s: go on with "from":"7""#;
    assert_eq!(sent, ["", r#"{"cursor":"7"}"#, end]);
    assert_eq!((Arc::strong_count(&held), stopping.receiver_count()), (1, 0));
}

#[tokio::test]
async fn who_reads_when_the_node_stops_is_told_where_to_go_on() {
    let stopping = watch::Sender::new(false);
    let (work, mut stream) = stream(stopping.subscribe(), TAKE_WITHIN, (), endless);
    let read = async {
        for _ in 0..5 {
            stream.next().await.unwrap().unwrap();
        }
        stopping.send_replace(true);
        let rest: Vec<_> = stream.map(|sent| metadata(&sent)).collect().await;
        let (end, before) = rest.split_last().unwrap();
        let last: String = before.last().unwrap().chars().filter(char::is_ascii_digit).collect();
        assert_eq!(
            *end,
            format!(r#"Unavailable: this node stops: go on with "from":"{last}", elsewhere or later"#)
        );
    };
    tokio::join!(work, read);
}

#[tokio::test]
async fn nothing_more_is_made_for_a_reader_that_has_gone() {
    let stopping = watch::Sender::new(false);
    let held = Arc::new(());
    let (work, stream) = stream(stopping.subscribe(), TAKE_WITHIN, held.clone(), |outlet| async move {
        endless(outlet).await.unwrap_err();
        std::future::pending().await
    });
    drop(stream);
    work.await;
    assert_eq!(Arc::strong_count(&held), 1);
}
