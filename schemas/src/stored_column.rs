//! Columns of a stored or foreign batch, read row by row in whichever Arrow type an engine gave them.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};

use crate::row_parts::{ColumnError, ValueError};
use crate::{BatchError, CloseTime, Hash32, SchemaMismatch};

/// The columns of a batch whose schema was found readable.
pub(crate) struct StoredColumns<'a> {
    pub(crate) table: &'static str,
    pub(crate) batch: &'a RecordBatch,
}

/// One column: `None` inside is a column of a later revision, all null.
pub(crate) struct StoredColumn<T> {
    name: &'static str,
    values: Option<T>,
}

/// Reads the value of a row, `None` for null.
pub(crate) trait Values {
    type Value<'a>
    where
        Self: 'a;
    fn value(&self, row: usize) -> Option<Self::Value<'_>>;
}

impl<T: Values> StoredColumn<T> {
    /// The value, or `None` for null.
    pub(crate) fn optional(&self, row: usize) -> Option<T::Value<'_>> {
        self.values.as_ref().and_then(|values| values.value(row))
    }

    /// The value of a column without nulls.
    pub(crate) fn required(&self, row: usize) -> Result<T::Value<'_>, BatchError> {
        self.optional(row).ok_or(BatchError::Null { row, column: self.name })
    }
}

impl StoredColumns<'_> {
    pub(crate) fn texts(&self, name: &'static str) -> Result<StoredColumn<Texts>, BatchError> {
        self.column(name, Texts::new)
    }

    pub(crate) fn bytes(&self, name: &'static str) -> Result<StoredColumn<Bytes>, BatchError> {
        self.column(name, Bytes::new)
    }

    pub(crate) fn int32s(
        &self,
        name: &'static str,
    ) -> Result<StoredColumn<Primitives<Int32Type>>, BatchError> {
        self.column(name, Primitives::new)
    }

    pub(crate) fn int64s(
        &self,
        name: &'static str,
    ) -> Result<StoredColumn<Primitives<Int64Type>>, BatchError> {
        self.column(name, Primitives::new)
    }

    pub(crate) fn decimals(
        &self,
        name: &'static str,
    ) -> Result<StoredColumn<Primitives<Decimal128Type>>, BatchError> {
        self.column(name, Primitives::new)
    }

    pub(crate) fn times(
        &self,
        name: &'static str,
    ) -> Result<StoredColumn<Primitives<TimestampMicrosecondType>>, BatchError> {
        self.column(name, Primitives::new)
    }

    pub(crate) fn booleans(&self, name: &'static str) -> Result<StoredColumn<Booleans>, BatchError> {
        self.column(name, |array| array.as_boolean_opt().cloned().map(Booleans))
    }

    /// The compatibility check admits the types that `read` knows; a difference between the two is an error, no panic.
    fn column<T>(
        &self,
        name: &'static str,
        read: impl Fn(&ArrayRef) -> Option<T>,
    ) -> Result<StoredColumn<T>, BatchError> {
        let Some(array) = self.batch.column_by_name(name) else {
            return Ok(StoredColumn { name, values: None });
        };
        match read(array) {
            Some(values) => Ok(StoredColumn { name, values: Some(values) }),
            None => Err(BatchError::Schema(SchemaMismatch::Type {
                column: name,
                found: array.data_type().to_string(),
                expected: format!("the type of `{}`", self.table),
            })),
        }
    }
}

/// Numbers and times.
pub(crate) struct Primitives<T: arrow::datatypes::ArrowPrimitiveType>(arrow::array::PrimitiveArray<T>);

impl<T: arrow::datatypes::ArrowPrimitiveType> Primitives<T> {
    fn new(array: &ArrayRef) -> Option<Self> {
        array.as_primitive_opt().cloned().map(Self)
    }
}

impl<T: arrow::datatypes::ArrowPrimitiveType> Values for Primitives<T> {
    type Value<'a> = T::Native;

    fn value(&self, row: usize) -> Option<T::Native> {
        self.0.is_valid(row).then(|| self.0.value(row))
    }
}

/// True and false.
pub(crate) struct Booleans(arrow::array::BooleanArray);

impl Values for Booleans {
    type Value<'a> = bool;

    fn value(&self, row: usize) -> Option<bool> {
        self.0.is_valid(row).then(|| self.0.value(row))
    }
}

/// Text, as plain values or as a dictionary.
pub(crate) struct Texts {
    values: Plain,
    /// Positions in `values`, if these are a dictionary, and the array that holds the nulls.
    keys: Option<(Vec<usize>, ArrayRef)>,
}

enum Plain {
    Utf8(arrow::array::StringArray),
    LargeUtf8(arrow::array::LargeStringArray),
    Utf8View(arrow::array::StringViewArray),
}

impl Texts {
    fn new(array: &ArrayRef) -> Option<Self> {
        let Some(dictionary) = array.as_any_dictionary_opt() else {
            return Plain::new(array).map(|values| Self { values, keys: None });
        };
        let values = Plain::new(dictionary.values())?;
        // Without values every key is null; asking for the keys of an empty dictionary would panic.
        let keys = if dictionary.values().is_empty() { Vec::new() } else { dictionary.normalized_keys() };
        Some(Self { values, keys: Some((keys, array.clone())) })
    }
}

impl StoredColumn<Texts> {
    /// Whether each of `rows` rows has a text that passes the test; null does not. A text of a dictionary is tested once.
    pub(crate) fn tested(&self, rows: usize, test: &dyn Fn(&str) -> bool) -> Vec<bool> {
        let Some(texts) = &self.values else { return vec![false; rows] };
        let by_row = || (0..rows).map(|row| texts.value(row).is_some_and(test)).collect();
        let Some((keys, array)) = &texts.keys else { return by_row() };
        let values = texts.values.len();
        if values > rows {
            return by_row();
        }
        let passes: Vec<_> = (0..values).map(|value| texts.values.value(value).is_some_and(test)).collect();
        let passes = |row: usize| keys.get(row).and_then(|key| passes.get(*key)).copied().unwrap_or(false);
        (0..rows).map(|row| array.is_valid(row) && passes(row)).collect()
    }
}

impl Values for Texts {
    type Value<'a> = &'a str;

    fn value(&self, row: usize) -> Option<&str> {
        match &self.keys {
            None => self.values.value(row),
            Some((keys, array)) if array.is_valid(row) => self.values.value(*keys.get(row)?),
            Some(_) => None,
        }
    }
}

impl Plain {
    fn new(array: &ArrayRef) -> Option<Self> {
        let utf8 = array.as_string_opt::<i32>().cloned().map(Self::Utf8);
        let large = || array.as_string_opt::<i64>().cloned().map(Self::LargeUtf8);
        let view = || array.as_string_view_opt().cloned().map(Self::Utf8View);
        utf8.or_else(large).or_else(view)
    }

    fn len(&self) -> usize {
        match self {
            Self::Utf8(array) => array.len(),
            Self::LargeUtf8(array) => array.len(),
            Self::Utf8View(array) => array.len(),
        }
    }

    fn value(&self, row: usize) -> Option<&str> {
        match self {
            Self::Utf8(array) => array.is_valid(row).then(|| array.value(row)),
            Self::LargeUtf8(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Utf8View(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }
}

/// Bytes, of fixed length or not.
pub(crate) enum Bytes {
    Fixed(arrow::array::FixedSizeBinaryArray),
    Binary(arrow::array::BinaryArray),
    LargeBinary(arrow::array::LargeBinaryArray),
    BinaryView(arrow::array::BinaryViewArray),
}

impl Bytes {
    fn new(array: &ArrayRef) -> Option<Self> {
        let fixed = array.as_fixed_size_binary_opt().cloned().map(Self::Fixed);
        let binary = || array.as_binary_opt::<i32>().cloned().map(Self::Binary);
        let large = || array.as_binary_opt::<i64>().cloned().map(Self::LargeBinary);
        let view = || array.as_binary_view_opt().cloned().map(Self::BinaryView);
        fixed.or_else(binary).or_else(large).or_else(view)
    }
}

impl Values for Bytes {
    type Value<'a> = &'a [u8];

    fn value(&self, row: usize) -> Option<&[u8]> {
        match self {
            Self::Fixed(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Binary(array) => array.is_valid(row).then(|| array.value(row)),
            Self::LargeBinary(array) => array.is_valid(row).then(|| array.value(row)),
            Self::BinaryView(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }
}

impl StoredColumn<Bytes> {
    pub(crate) fn hash(&self, row: usize) -> Result<Hash32, BatchError> {
        self.optional_hash(row)?.ok_or(BatchError::Null { row, column: self.name })
    }

    pub(crate) fn optional_hash(&self, row: usize) -> Result<Option<Hash32>, BatchError> {
        let Some(bytes) = self.optional(row) else { return Ok(None) };
        let problem = ValueError::Length { found: bytes.len(), expected: 32 };
        let hash = bytes
            .try_into()
            .map_err(|_| BatchError::column(ColumnError { column: self.name, problem }, row))?;
        Ok(Some(Hash32(hash)))
    }
}

impl StoredColumn<Primitives<TimestampMicrosecondType>> {
    pub(crate) fn close_time(&self, row: usize) -> Result<CloseTime, BatchError> {
        let micros = self.required(row)?;
        let problem = ValueError::CloseTime { micros };
        CloseTime::from_unix_micros(micros)
            .ok_or_else(|| BatchError::column(ColumnError { column: self.name, problem }, row))
    }
}
