//! How the values of a Python class are hashed: found once, from what is known about its equality.

use millstream_core::hash::hash_text;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyType};

/// How the values of one type are hashed.
pub enum Rule {
    Text,
    Bytes,
    Tuple,
    Set,
    /// Numbers without NaN: the numeric hash as it is.
    Number,
    /// Numbers that may be NaN: compared with themselves first.
    Real,
    Decimal,
    Date,
    DateTime,
    Time,
    Duration,
    Uuid,
    /// The class's name.
    Member(u64),
    Flag(u64),
    /// The class's name, and the fields that its equality compares.
    Record(u64, Vec<Py<PyString>>),
    NumpyScalar,
    ArrowScalar,
}

/// Why a key has no hash.
pub enum Refusal {
    NotANumber,
    /// The reason, after "the key ...".
    Type(String),
    Raised(PyErr),
}

impl From<PyErr> for Refusal {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

type MakeRule = fn() -> Rule;

/// The classes of the standard library that keys may have.
struct Classes {
    /// Class and rule, a subclass before its base.
    plain: Vec<(Py<PyType>, MakeRule)>,
    enumeration: Py<PyType>,
    flag: Py<PyType>,
    object: Py<PyType>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

fn classes(py: Python<'_>) -> PyResult<&'static Classes> {
    CLASSES.get_or_try_init(py, || {
        let class = |module: &str, name: &str| -> PyResult<Py<PyType>> {
            Ok(py
                .import(module)?
                .getattr(name)?
                .cast_into::<PyType>()?
                .unbind())
        };
        let plain: [(&str, &str, MakeRule); 13] = [
            ("builtins", "str", || Rule::Text),
            ("builtins", "bytes", || Rule::Bytes),
            ("builtins", "tuple", || Rule::Tuple),
            ("builtins", "frozenset", || Rule::Set),
            ("builtins", "int", || Rule::Number),
            ("builtins", "float", || Rule::Real),
            ("builtins", "complex", || Rule::Real),
            ("decimal", "Decimal", || Rule::Decimal),
            ("fractions", "Fraction", || Rule::Number),
            ("datetime", "datetime", || Rule::DateTime),
            ("datetime", "date", || Rule::Date),
            ("datetime", "time", || Rule::Time),
            ("datetime", "timedelta", || Rule::Duration),
        ];
        let mut plain = plain
            .into_iter()
            .map(|(module, name, rule)| Ok((class(module, name)?, rule)))
            .collect::<PyResult<Vec<_>>>()?;
        plain.push((class("uuid", "UUID")?, || Rule::Uuid));
        Ok(Classes {
            plain,
            enumeration: class("enum", "Enum")?,
            flag: class("enum", "Flag")?,
            object: class("builtins", "object")?,
        })
    })
}

/// Find the rule of a class, or say why there is none.
pub fn rule_of(class: &Bound<'_, PyType>) -> Result<Rule, Refusal> {
    let py = class.py();
    if let Some(rule) = foreign_scalar(class)? {
        return Ok(rule);
    }
    let classes = classes(py)?;
    for (base, rule) in &classes.plain {
        let base = base.bind(py);
        if class.is_subclass(base)? {
            return if same_equality(class, base)? {
                Ok(rule())
            } else {
                Err(own_equality(class)?)
            };
        }
    }
    if class.is_subclass(classes.enumeration.bind(py))? {
        if !same_equality_method(class, classes.object.bind(py), "__eq__")? {
            return Err(own_equality(class)?);
        }
        let name = hash_text(class.qualname()?.to_str()?.as_bytes());
        return Ok(if class.is_subclass(classes.flag.bind(py))? {
            Rule::Flag(name)
        } else {
            Rule::Member(name)
        });
    }
    match frozen_fields(class)? {
        Some(fields) => Ok(Rule::Record(
            hash_text(class.qualname()?.to_str()?.as_bytes()),
            fields,
        )),
        None => Err(Refusal::Type(format!(
            "nothing is known about the equality of type {}",
            class.fully_qualified_name()?
        ))),
    }
}

/// Scalars of `NumPy` and Arrow that have a plain Python form; neither library is imported for it.
fn foreign_scalar(class: &Bound<'_, PyType>) -> Result<Option<Rule>, Refusal> {
    let module = class.module()?;
    let module = module.to_str()?;
    if module == "numpy" && class.hasattr(intern!(class.py(), "item"))? {
        // Their units are wider than those of datetime, and records and the rest have no plain form.
        return if matches!(
            class.name()?.to_str()?,
            "datetime64" | "timedelta64" | "void" | "object_" | "ndarray"
        ) {
            Err(Refusal::Type(format!(
                "values of type {} have no plain Python form",
                class.fully_qualified_name()?
            )))
        } else {
            Ok(Some(Rule::NumpyScalar))
        };
    }
    if module.starts_with("pyarrow") && class.hasattr(intern!(class.py(), "as_py"))? {
        return Ok(Some(Rule::ArrowScalar));
    }
    Ok(None)
}

fn own_equality(class: &Bound<'_, PyType>) -> PyResult<Refusal> {
    Ok(Refusal::Type(format!(
        "type {} has an equality or a hash of its own",
        class.fully_qualified_name()?
    )))
}

fn same_equality(class: &Bound<'_, PyType>, base: &Bound<'_, PyType>) -> PyResult<bool> {
    Ok(same_equality_method(class, base, "__eq__")?
        && same_equality_method(class, base, "__hash__")?)
}

fn same_equality_method(
    class: &Bound<'_, PyType>,
    base: &Bound<'_, PyType>,
    method: &str,
) -> PyResult<bool> {
    Ok(class.is(base) || class.getattr(method)?.is(base.getattr(method)?))
}

/// The names of the fields that a frozen dataclass compares; none where it is not one.
fn frozen_fields(class: &Bound<'_, PyType>) -> Result<Option<Vec<Py<PyString>>>, Refusal> {
    let py = class.py();
    // Of the class itself: a subclass that is no dataclass may have fields that nobody compares.
    let own = class.getattr(intern!(py, "__dict__"))?;
    if !own.contains(intern!(py, "__dataclass_params__"))? {
        return Ok(None);
    }
    let parameters = class.getattr(intern!(py, "__dataclass_params__"))?;
    let name = class.fully_qualified_name()?;
    let generated = parameters.getattr(intern!(py, "eq"))?.is_truthy()?
        && class
            .getattr(intern!(py, "__eq__"))?
            .getattr(intern!(py, "__code__"))
            .and_then(|code| code.getattr(intern!(py, "co_filename")))
            .is_ok_and(|file| file.eq("<string>").unwrap_or(false));
    if !generated {
        return Err(own_equality(class)?);
    }
    if !parameters.getattr(intern!(py, "frozen"))?.is_truthy()? {
        return Err(Refusal::Type(format!("the dataclass {name} is not frozen")));
    }
    let mut fields = Vec::new();
    for field in py
        .import(intern!(py, "dataclasses"))?
        .call_method1(intern!(py, "fields"), (class,))?
        .try_iter()?
    {
        let field = field?;
        if field.getattr(intern!(py, "compare"))?.is_truthy()? {
            let name = field.getattr(intern!(py, "name"))?;
            fields.push(name.cast_into::<PyString>().map_err(PyErr::from)?.unbind());
        }
    }
    Ok(Some(fields))
}
