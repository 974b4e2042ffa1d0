//! What stands where: a function of a snapshot and of what was chosen.

use std::cmp::Reverse;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row as Cells, Table, TableState};

use super::choice::{Choice, Order};
use crate::inspect::columns::{bytes, number, seconds};
use crate::inspect::drawing::{node_state, restarts, roles, summary};
use crate::inspect::rows::{Row, rows};
use crate::inspect::snapshot::{NodeView, Snapshot};

/// Lines of the nodes' table at most; tasks need the rest.
const NODES_MAX: u16 = 12;

const KEYS: &str = "q quit   up/down select   s sort";

/// What is drawn.
pub(super) struct Shown<'a> {
    pub(super) snapshot: &'a Snapshot,
    /// Why it is not from now.
    pub(super) error: Option<&'a str>,
    pub(super) choice: &'a Choice,
}

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, shown: &Shown<'_>) {
    let nodes = u16::try_from(shown.snapshot.nodes.len()).unwrap_or(NODES_MAX).min(NODES_MAX);
    let parts =
        [Constraint::Length(1), Constraint::Length(nodes + 2), Constraint::Min(3), Constraint::Length(3)];
    let [header, above, middle, below] = Layout::vertical(parts).areas(frame.area());
    frame.render_widget(Line::styled(format!("orrery  {}", summary(shown.snapshot)), bold()), header);
    draw_nodes(frame, above, shown.snapshot);
    let tasks = tasks(shown.snapshot, shown.choice.order);
    let selected = shown.choice.selected.min(tasks.len().saturating_sub(1));
    draw_tasks(frame, middle, &tasks, selected, shown.choice.order);
    frame.render_widget(footer(shown, tasks.get(selected)), below);
}

/// Pipelines and their tasks, in this order.
pub(super) fn tasks(snapshot: &Snapshot, order: Order) -> Vec<Row> {
    let mut tasks = rows(snapshot);
    tasks.retain(|row| {
        let depth = row.path.strip_prefix(&row.node).unwrap_or(&row.path).split('/').count();
        let below_pipelines = row.path.split('/').nth(1) == Some("pipelines");
        // NODE/pipelines/NAME, and below it NODE/pipelines/NAME/TASK.
        below_pipelines && (depth == 3 || depth == 4 && row.kind == "supervisor")
    });
    let measure = |row: &Row| row.measures.clone().unwrap_or_default();
    match order {
        Order::Path => {}
        Order::Rate => tasks.sort_by(|a, b| {
            let rate = |row| measure(row).ledgers_per_second.unwrap_or(-1.0);
            rate(b).total_cmp(&rate(a))
        }),
        Order::Lag => tasks.sort_by_key(|row| {
            let measures = measure(row);
            Reverse(measures.left_ledgers.or(measures.lag_ledgers))
        }),
        Order::Restarts => tasks.sort_by_key(|row| Reverse(row.restarts_total)),
    }
    tasks
}

fn draw_nodes(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot) {
    let lines = snapshot.nodes.iter().map(|node| {
        let style = if node.error.is_some() || node.state == "suspect" { warning() } else { Style::new() };
        Cells::new(node_cells(snapshot, node)).style(style)
    });
    let widths = [
        Constraint::Length(20),
        Constraint::Length(9),
        Constraint::Length(12),
        Constraint::Length(5),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Length(21),
        Constraint::Min(10),
    ];
    let heading = ["NODE", "STATE", "COORDINATOR", "LOAD", "LEDGERS/S", "IN FLIGHT", "ADDRESS", "ROLES"];
    let table = Table::new(lines, widths).header(Cells::new(heading).style(bold()));
    frame.render_widget(table, area);
}

fn node_cells(snapshot: &Snapshot, node: &NodeView) -> [String; 8] {
    let measures = node.measures();
    let crossing = node.exchange.as_ref().map_or(0, |exchange| exchange.in_flight_bytes);
    let held = measures.map_or(0, |measures| measures.in_flight_bytes);
    [
        node.identity(),
        node_state(node),
        if snapshot.is_coordinator(node) { "active".to_owned() } else { "-".to_owned() },
        format!("{:.2}", node.load),
        measures
            .and_then(|measures| measures.ledgers_per_second)
            .map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}")),
        bytes(held.saturating_add(crossing)),
        node.address.clone(),
        node.error.clone().unwrap_or_else(|| roles(node)),
    ]
}

fn draw_tasks(frame: &mut Frame<'_>, area: Rect, tasks: &[Row], selected: usize, order: Order) {
    let lines = tasks.iter().map(|row| {
        let measures = row.measures.clone().unwrap_or_default();
        let cells = [
            row.path.clone(),
            row.state.clone(),
            restarts(row.restarts_in_window, row.restarts_total),
            measures.ledgers_per_second.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}")),
            number(measures.processed),
            number(measures.left_ledgers.or(measures.lag_ledgers)),
            measures.lag_seconds.map_or_else(|| "-".to_owned(), |lag| seconds(lag as f64)),
            bytes(measures.in_flight_bytes),
            seconds(row.age_seconds),
        ];
        let style = if row.state == "running" { Style::new() } else { warning() };
        Cells::new(cells).style(style)
    });
    let widths = [
        Constraint::Min(28),
        Constraint::Length(10),
        Constraint::Length(8),
        Constraint::Length(9),
        Constraint::Length(12),
        Constraint::Length(12),
        Constraint::Length(8),
        Constraint::Length(10),
        Constraint::Length(7),
    ];
    let heading = ["TASK", "STATE", "RESTARTS", "LEDGERS/S", "LEDGER", "TO GO", "OLD", "IN FLIGHT", "AGE"];
    let table = Table::new(lines, widths)
        .header(Cells::new(heading).style(bold()))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .highlight_symbol("> ")
        .block(Block::new().title(format!("by {}", order.as_str())));
    let mut state = TableState::default().with_selected((!tasks.is_empty()).then_some(selected));
    frame.render_stateful_widget(table, area, &mut state);
}

fn footer<'a>(shown: &Shown<'a>, selected: Option<&Row>) -> Paragraph<'a> {
    let last_error =
        selected.and_then(|row| Some(format!("{}: last error: {}", row.path, row.last_error.as_ref()?)));
    let not_from_now = shown.error.map(|error| Line::styled(format!("not from now: {error}"), warning()));
    Paragraph::new(vec![
        not_from_now.unwrap_or_default(),
        Line::raw(last_error.unwrap_or_default()),
        Line::raw(KEYS),
    ])
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn warning() -> Style {
    Style::new().fg(Color::Yellow)
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::inspect::snapshot::tests::seen;

    fn drawn(choice: Choice, error: Option<&str>, size: (u16, u16)) -> Vec<String> {
        let first = seen(1_000, 100).measured(None, 1_700_000_060);
        let snapshot = seen(3_000, 400).measured(Some(&first), 1_700_000_060);
        let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
        let shown = Shown { snapshot: &snapshot, error, choice: &choice };
        terminal.draw(|frame| draw(frame, &shown)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| (0..size.0).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..size.1).map(line).collect()
    }

    #[test]
    fn nodes_and_tasks_stand_below_each_other() {
        let lines = drawn(Choice { selected: 1, order: Order::Path }, None, (130, 16));
        let expect = "\
orrery  2 nodes: coordinator a (epoch 3), newest ledger 20,001, durable to 5,000, 150 ledgers/s
NODE                 STATE     COORDINATOR  LOAD  LEDGERS/S  IN FLIGHT  ADDRESS               ROLES
a.17                 alive     active       1.00  150        3.0 MiB    127.0.0.1:7101        fetcher,processor
b.18                 suspect   -            0.00  -          0 B        127.0.0.1:7102        node `b` did not answer within 2s

by path
  TASK                                         STATE      RESTARTS LEDGERS/S LEDGER       TO GO        OLD      IN FLIGHT  AGE";
        assert_eq!(lines[..7].join("\n"), expect);
        let text = lines.join("\n");
        assert!(lines[8].starts_with("> a/pipelines/main/until-2047"), "{text}");
        assert!(text.contains("a/pipelines/main/until-2047: last error: lake: object is torn"), "{text}");
        assert!(lines[15].starts_with("q quit"), "{text}");
    }

    #[test]
    fn sorting_puts_the_most_first_and_a_failed_look_is_said() {
        let choice = Choice { selected: 0, order: Order::Restarts };
        let text = drawn(choice, Some("no answer"), (130, 16)).join("\n");
        let at = |part: &str| text.find(part).unwrap();
        assert!(
            at("by restarts") < at("main/until-2047") && at("main/until-2047") < at("main/live"),
            "{text}"
        );
        assert!(text.contains("not from now: no answer"), "{text}");
    }

    #[test]
    fn any_size_can_be_drawn() {
        for size in [(1, 1), (10, 3), (40, 5), (300, 80)] {
            let lines = drawn(Choice { selected: 99, order: Order::Lag }, Some("x"), size);
            assert_eq!(lines.len(), usize::from(size.1));
        }
    }
}
