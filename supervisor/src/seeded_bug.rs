//! Where a line can be wrong on purpose.

/// `seeded_bug!(B7, wrong, right)` is `right`, to the letter. With the feature `seeded-bugs`, which no program that is shipped is
/// built with, it is `wrong` while that bug is switched on.
#[cfg(not(feature = "seeded-bugs"))]
#[macro_export]
macro_rules! seeded_bug {
    ($bug:ident, $wrong:expr, ()) => {};
    ($bug:ident, $wrong:expr, $right:expr) => {
        $right
    };
}

/// `seeded_bug!(B7, wrong, right)` is `wrong` while that bug is switched on, and `right` otherwise.
#[cfg(feature = "seeded-bugs")]
#[macro_export]
macro_rules! seeded_bug {
    ($bug:ident, $wrong:expr, $right:expr) => {
        if $crate::seeded_bugs::is_on($crate::seeded_bugs::Bug::$bug) { $wrong } else { $right }
    };
}
