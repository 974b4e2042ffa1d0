//! Rows of data files once more, in a form in which single rows are found: on the node's own disk, beside whatever store the
//! dataset is in.
//!
//! A Parquet file is made for reading many rows: for one row a whole page of every column is decompressed, and the hundred rows
//! of an account may be in a hundred pages. Here a row is 100 bytes at a place that its number says, and a list of rows stands
//! under every address. So a look-up costs a few small reads, which the operating system answers from memory.
//!
//! In: the rows of a data file, which never changes. Out: a *row file* of the same name. Nothing depends on one: it can be
//! removed at any moment, is made again from the data file, and what is not there, or is damaged, is read from the data file.
//! Bounds: bytes on disk (the newest files are kept), and in memory one part of a file while it is made; a look-up holds the rows
//! that it gives.

mod layout;
mod record;
mod writer;
mod row_file;
mod shelf;
mod walk;

#[cfg(test)]
mod tests;

pub(super) use shelf::{Candidate, Shelf};
pub(super) use walk::{Stepped, Walk, Wanted};
