//! What keys mean, and what they have chosen.

use ratatui::crossterm::event::{KeyCode, KeyModifiers};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    End,
    Up,
    Down,
    Sort,
}

impl Wish {
    pub(super) fn of(code: KeyCode, modifiers: KeyModifiers) -> Option<Self> {
        match code {
            KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Some(Self::End),
            KeyCode::Char('q') | KeyCode::Esc => Some(Self::End),
            KeyCode::Up | KeyCode::Char('k') => Some(Self::Up),
            KeyCode::Down | KeyCode::Char('j') => Some(Self::Down),
            KeyCode::Char('s') => Some(Self::Sort),
            _ => None,
        }
    }
}

/// Which task comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// As in the tree.
    #[default]
    Path,
    Rate,
    Lag,
    Restarts,
}

impl Order {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Rate => "ledgers/s",
            Self::Lag => "lag",
            Self::Restarts => "restarts",
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Path => Self::Rate,
            Self::Rate => Self::Lag,
            Self::Lag => Self::Restarts,
            Self::Restarts => Self::Path,
        }
    }
}

/// What is chosen now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// The line of a task, from 0.
    pub(super) selected: usize,
    pub(super) order: Order,
}

impl Choice {
    /// Does what is asked for, among so many tasks.
    pub(super) fn obey(&mut self, wish: Wish, tasks: usize) {
        match wish {
            Wish::End => {}
            Wish::Up => self.selected = self.selected.min(tasks).saturating_sub(1),
            Wish::Down => self.selected = (self.selected + 1).min(tasks.saturating_sub(1)),
            Wish::Sort => self.order = self.order.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_line_at_the_bottom_says() {
        let check = |code, modifiers, expect| assert_eq!(Wish::of(code, modifiers), expect);
        check(KeyCode::Char('q'), KeyModifiers::NONE, Some(Wish::End));
        check(KeyCode::Char('c'), KeyModifiers::CONTROL, Some(Wish::End));
        check(KeyCode::Char('c'), KeyModifiers::NONE, None);
        check(KeyCode::Down, KeyModifiers::NONE, Some(Wish::Down));
        check(KeyCode::Char('s'), KeyModifiers::NONE, Some(Wish::Sort));
    }

    #[test]
    fn the_selected_line_stays_among_the_tasks() {
        let mut choice = Choice::default();
        let mut check = |wish, tasks, expect| {
            choice.obey(wish, tasks);
            assert_eq!(choice.selected, expect, "{wish:?} of {tasks}");
        };
        check(Wish::Down, 3, 1);
        check(Wish::Down, 3, 2);
        check(Wish::Down, 3, 2);
        check(Wish::Up, 1, 0);
        check(Wish::Down, 0, 0);
        check(Wish::Up, 0, 0);
    }

    #[test]
    fn sorting_goes_round() {
        let mut choice = Choice::default();
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(choice.order.as_str());
            choice.obey(Wish::Sort, 1);
        }
        assert_eq!((seen, choice.order), (vec!["path", "ledgers/s", "lag", "restarts"], Order::Path));
    }
}
