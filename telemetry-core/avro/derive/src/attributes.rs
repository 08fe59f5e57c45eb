//! The `#[avro(…)]` attributes.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned as _;
use syn::{Attribute, Error, Expr, ExprLit, Generics, Lit, LitInt, LitStr, Result};

use crate::default::Default;

/// What stands on a type.
pub(crate) struct TypeAttributes {
    pub(crate) krate: syn::Path,
    /// Full name.
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) doc: Option<String>,
    pub(crate) logical: Option<Logical>,
}

/// What stands on a field or a variant.
pub(crate) struct PartAttributes {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) doc: Option<String>,
    pub(crate) default: Option<Default>,
    pub(crate) event_time: bool,
    pub(crate) recursive: bool,
    pub(crate) null_last: bool,
    pub(crate) logical: Option<Logical>,
    /// Where an attribute stands that only some parts may have.
    pub(crate) spans: Vec<(&'static str, Span)>,
}

pub(crate) struct Logical {
    name: LitStr,
    decimal: Option<(u32, u32)>,
}

impl Logical {
    pub(crate) fn tokens(&self, krate: &syn::Path) -> TokenStream {
        let name = &self.name;
        let decimal = match self.decimal {
            None => quote!(::core::option::Option::None),
            Some((precision, scale)) => quote!(::core::option::Option::Some((#precision, #scale))),
        };
        quote!(#krate::typed::Logical { name: #name, decimal: #decimal })
    }

    pub(crate) fn span(&self) -> Span {
        self.name.span()
    }
}

/// `logical`, `precision` and `scale`, which belong together.
#[derive(Default)]
struct LogicalParts {
    name: Option<LitStr>,
    precision: Option<LitInt>,
    scale: Option<LitInt>,
}

impl LogicalParts {
    fn parse(&mut self, meta: &ParseNestedMeta<'_>) -> Result<bool> {
        if meta.path.is_ident("logical") {
            self.name = Some(meta.value()?.parse()?);
        } else if meta.path.is_ident("precision") {
            self.precision = Some(meta.value()?.parse()?);
        } else if meta.path.is_ident("scale") {
            self.scale = Some(meta.value()?.parse()?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn finish(self) -> Result<Option<Logical>> {
        match (self.name, self.precision, self.scale) {
            (Some(name), None, None) => Ok(Some(Logical {
                name,
                decimal: None,
            })),
            (Some(name), Some(precision), scale) => Ok(Some(Logical {
                name,
                decimal: Some((
                    precision.base10_parse()?,
                    scale.map_or(Ok(0), |s| s.base10_parse())?,
                )),
            })),
            (None, Some(part), _) | (_, None, Some(part)) => Err(Error::new(
                part.span(),
                "a decimal has both: #[avro(logical = \"decimal\", precision = 9, scale = 2)]",
            )),
            (None, None, None) => Ok(None),
        }
    }
}

impl TypeAttributes {
    /// Reads what stands on a type; `krate` has the traits, unless an attribute names another.
    pub(crate) fn parse(
        ident: &syn::Ident,
        attrs: &[Attribute],
        mut krate: syn::Path,
    ) -> Result<Self> {
        let mut name = ident.to_string();
        let mut namespace = None;
        let mut aliases = Vec::new();
        let mut logical = LogicalParts::default();
        for attr in avro_attributes(attrs) {
            attr.parse_nested_meta(|meta| {
                if logical.parse(&meta)? {
                } else if meta.path.is_ident("name") {
                    name = avro_name(&meta.value()?.parse()?)?;
                } else if meta.path.is_ident("namespace") {
                    let text: LitStr = meta.value()?.parse()?;
                    dotted(&text)?;
                    namespace = Some(text.value());
                } else if meta.path.is_ident("alias") {
                    // Any text: the way back from a name that is none.
                    aliases.push(meta.value()?.parse::<LitStr>()?.value());
                } else if meta.path.is_ident("crate") {
                    krate = meta.value()?.parse::<LitStr>()?.parse()?;
                } else {
                    return Err(meta.error("known here: name, namespace, alias, crate, logical"));
                }
                Ok(())
            })?;
        }
        let name = namespace.map_or(name.clone(), |ns| format!("{ns}.{name}"));
        Ok(Self {
            krate,
            name,
            aliases,
            doc: doc(attrs),
            logical: logical.finish()?,
        })
    }

    /// Refuses a logical type where the Avro type cannot have one.
    pub(crate) fn without_logical(self) -> Result<Self> {
        match &self.logical {
            Some(logical) => Err(Error::new(
                logical.span(),
                "a logical type goes with a field, or with `struct Name([u8; N])`",
            )),
            None => Ok(self),
        }
    }
}

impl PartAttributes {
    pub(crate) fn parse(ident: &syn::Ident, attrs: &[Attribute]) -> Result<Self> {
        let mut part = Self {
            name: ident.to_string().trim_start_matches("r#").to_owned(),
            aliases: Vec::new(),
            doc: doc(attrs),
            default: None,
            event_time: false,
            recursive: false,
            null_last: false,
            logical: None,
            spans: Vec::new(),
        };
        let mut logical = LogicalParts::default();
        for attr in avro_attributes(attrs) {
            attr.parse_nested_meta(|meta| {
                let span = meta.path.span();
                if logical.parse(&meta)? {
                    part.spans.push(("logical", span));
                } else if meta.path.is_ident("rename") {
                    part.name = avro_name(&meta.value()?.parse()?)?;
                } else if meta.path.is_ident("alias") {
                    part.aliases.push(meta.value()?.parse::<LitStr>()?.value());
                    part.spans.push(("alias", span));
                } else if meta.path.is_ident("default") {
                    part.default = Some(if meta.input.peek(syn::Token![=]) {
                        Default::parse(meta.value()?)?
                    } else {
                        Default::Marked(span)
                    });
                } else if meta.path.is_ident("event_time") {
                    part.event_time = true;
                    part.spans.push(("event_time", span));
                } else if meta.path.is_ident("recursive") {
                    part.recursive = true;
                    part.spans.push(("recursive", span));
                } else if meta.path.is_ident("null_last") {
                    part.null_last = true;
                    part.spans.push(("null_last", span));
                } else {
                    return Err(meta.error(
                        "known here: rename, alias, default, event_time, logical, precision, \
                         scale, recursive, null_last",
                    ));
                }
                Ok(())
            })?;
        }
        part.logical = logical.finish()?;
        Ok(part)
    }
}

/// An optional text as a constant.
pub(crate) fn option(text: Option<&str>) -> TokenStream {
    match text {
        None => quote!(::core::option::Option::None),
        Some(text) => quote!(::core::option::Option::Some(#text)),
    }
}

/// The generics of an implementation that reads: with the lifetime of the datum, which every
/// lifetime of the type is within.
pub(crate) fn reading(generics: &Generics, krate: &syn::Path) -> Generics {
    let mut all = generics.clone();
    let lifetimes: Vec<_> = generics.lifetimes().map(|l| l.lifetime.clone()).collect();
    let mut datum: syn::LifetimeParam = syn::parse_quote!('__datum);
    datum.bounds.extend(lifetimes);
    for parameter in all.type_params_mut() {
        parameter
            .bounds
            .push(syn::parse_quote!(#krate::Decode<'__datum>));
    }
    all.params.insert(0, syn::GenericParam::Lifetime(datum));
    all
}

/// The generics of the other implementations: every type parameter is of the trait.
pub(crate) fn bounded(generics: &Generics, bound: &TokenStream) -> Generics {
    let mut all = generics.clone();
    for parameter in all.type_params_mut() {
        parameter.bounds.push(syn::parse_quote!(#bound));
    }
    all
}

fn avro_attributes(attrs: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attrs.iter().filter(|a| a.path().is_ident("avro"))
}

/// The text of a doc comment, its lines joined by spaces.
fn doc(attrs: &[Attribute]) -> Option<String> {
    let lines: Vec<String> = attrs
        .iter()
        .filter(|a| a.path().is_ident("doc"))
        .filter_map(|a| match &a.meta.require_name_value().ok()?.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) => Some(text.value().trim().to_owned()),
            _ => None,
        })
        .filter(|line| !line.is_empty())
        .collect();
    (!lines.is_empty()).then(|| lines.join(" "))
}

fn is_avro_name(s: &str) -> bool {
    let mut bytes = s.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn avro_name(text: &LitStr) -> Result<String> {
    if is_avro_name(&text.value()) {
        return Ok(text.value());
    }
    Err(Error::new(
        text.span(),
        "an Avro name is [A-Za-z_][A-Za-z0-9_]*",
    ))
}

fn dotted(text: &LitStr) -> Result<()> {
    if text.value().split('.').all(is_avro_name) {
        return Ok(());
    }
    Err(Error::new(
        text.span(),
        "an Avro full name is made of [A-Za-z_][A-Za-z0-9_]* and dots",
    ))
}
