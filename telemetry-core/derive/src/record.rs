//! From a struct definition to the implementation.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use serde_json::Value;
use syn::spanned::Spanned as _;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, ExprLit, ExprUnary, Fields, GenericArgument, Ident,
    Lit, LitStr, PathArguments, Result, Type, UnOp,
};

use crate::schema;

/// A struct as the derive understands it.
pub(crate) struct Record {
    ident: Ident,
    krate: syn::Path,
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) doc: Option<String>,
    pub(crate) fields: Vec<Field>,
}

pub(crate) struct Field {
    ident: Ident,
    ty: Type,
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) doc: Option<String>,
    pub(crate) default: Option<Value>,
    pub(crate) event_time: bool,
    pub(crate) avro: Avro,
}

/// The Avro type of a field.
#[derive(Clone, Copy)]
pub(crate) struct Avro {
    pub(crate) primitive: &'static str,
    pub(crate) logical: Option<&'static str>,
    pub(crate) nullable: bool,
}

impl Record {
    pub(crate) fn parse(input: &DeriveInput) -> Result<Self> {
        let Data::Struct(data) = &input.data else {
            return Err(Error::new(
                input.span(),
                "AvroRecord is derived for structs: an Avro record has fields",
            ));
        };
        let Fields::Named(named) = &data.fields else {
            return Err(Error::new(
                input.span(),
                "AvroRecord needs named fields: an Avro field has a name",
            ));
        };
        if let Some(parameter) = input.generics.params.first() {
            return Err(Error::new(
                parameter.span(),
                "AvroRecord is derived for structs without parameters: the schema is one constant",
            ));
        }
        let mut name = input.ident.to_string();
        let mut namespace = None;
        let mut aliases = Vec::new();
        let mut krate: syn::Path = syn::parse_quote!(::telemetry_core);
        for attr in avro_attributes(&input.attrs) {
            attr.parse_nested_meta(|meta| {
                if meta.path.is_ident("name") {
                    name = avro_name(&meta.value()?.parse()?)?;
                } else if meta.path.is_ident("namespace") {
                    let text: LitStr = meta.value()?.parse()?;
                    dotted(&text)?;
                    namespace = Some(text.value());
                } else if meta.path.is_ident("alias") {
                    let text: LitStr = meta.value()?.parse()?;
                    dotted(&text)?;
                    aliases.push(text.value());
                } else if meta.path.is_ident("crate") {
                    krate = meta.value()?.parse::<LitStr>()?.parse()?;
                } else {
                    return Err(meta.error("known here: name, namespace, alias, crate"));
                }
                Ok(())
            })?;
        }
        let full = namespace.map_or(name.clone(), |ns| format!("{ns}.{name}"));
        if full.len() > 128 {
            return Err(Error::new(
                input.ident.span(),
                format!(
                    "`{full}` has {} bytes, a stream name at most 128",
                    full.len()
                ),
            ));
        }
        let fields = named
            .named
            .iter()
            .map(Field::parse)
            .collect::<Result<Vec<_>>>()?;
        for (i, field) in fields.iter().enumerate() {
            if fields[..i].iter().any(|f| f.name == field.name) {
                return Err(Error::new(
                    field.ident.span(),
                    format!("field `{}` is there twice", field.name),
                ));
            }
            if field.event_time && fields[..i].iter().any(|f| f.event_time) {
                return Err(Error::new(
                    field.ident.span(),
                    "a record has at most one event time",
                ));
            }
        }
        Ok(Self {
            ident: input.ident.clone(),
            krate,
            name: full,
            aliases,
            doc: doc(&input.attrs),
            fields,
        })
    }

    pub(crate) fn expand(&self) -> TokenStream {
        let Self {
            ident, krate, name, ..
        } = self;
        let json = schema::json(self);
        let canonical = schema::canonical(self);
        let idents: Vec<_> = self.fields.iter().map(|f| &f.ident).collect();
        let types: Vec<_> = self.fields.iter().map(|f| &f.ty).collect();
        let positions = 0..self.fields.len();
        let primitives = self.fields.iter().map(|f| {
            let mut chars = f.avro.primitive.chars();
            let first = chars.next().map(|c| c.to_ascii_uppercase());
            Ident::new(
                &first.into_iter().chain(chars).collect::<String>(),
                Span::call_site(),
            )
        });
        let nullables = self.fields.iter().map(|f| f.avro.nullable);
        let names = self.fields.iter().map(|f| &f.name);
        let event_time = match self.fields.iter().find(|f| f.event_time) {
            None => quote!(::core::option::Option::None),
            Some(field) => {
                let ident = &field.ident;
                if field.avro.nullable {
                    quote!(self.#ident)
                } else {
                    quote!(::core::option::Option::Some(self.#ident))
                }
            }
        };
        quote! {
            impl #krate::AvroRecord for #ident {
                const NAME: &'static str = #name;
                const SCHEMA: &'static str = #json;
                const CANONICAL: &'static str = #canonical;

                fn datum_len_bound(&self) -> usize {
                    0 #(+ #krate::AvroField::len_bound(&self.#idents))*
                }

                fn put_datum(&self, out: &mut #krate::derive_support::Vec<u8>) {
                    #(#krate::AvroField::put(&self.#idents, out);)*
                }

                fn decode<'a>(
                    plan: &'a #krate::Plan,
                    input: &mut #krate::wire::Reader<'a>,
                ) -> ::core::result::Result<Self, #krate::DecodeError> {
                    #[derive(::core::default::Default)]
                    struct Slots {
                        #(#idents: ::core::option::Option<#types>,)*
                    }
                    impl<'a> #krate::FieldSink<'a> for Slots {
                        fn set(&mut self, field: usize, value: #krate::Scalar<'a>) {
                            match field {
                                #(#positions => self.#idents = #krate::AvroField::take(value),)*
                                _ => {}
                            }
                        }
                    }
                    let mut slots = <Slots as ::core::default::Default>::default();
                    plan.decode(input, &mut slots)?;
                    ::core::result::Result::Ok(Self {
                        #(#idents: slots.#idents.ok_or(
                            #krate::DecodeError::OtherReader { expected: Self::NAME, field: #names },
                        )?,)*
                    })
                }

                fn event_time(&self) -> ::core::option::Option<#krate::Timestamp> {
                    #event_time
                }
            }

            // The schema above was made from the spelling of the types; hold them to it.
            const _: () = {
                #(assert!(
                    <#types as #krate::AvroField>::PRIMITIVE as u8
                        == #krate::Primitive::#primitives as u8
                        && <#types as #krate::AvroField>::NULLABLE == #nullables,
                    "this type is another one than its name says: use the standard type",
                );)*
            };
        }
    }
}

impl Field {
    fn parse(field: &syn::Field) -> Result<Self> {
        let ident = field
            .ident
            .clone()
            .ok_or_else(|| Error::new(field.span(), "an Avro field has a name"))?;
        let mut name = ident.to_string().trim_start_matches("r#").to_owned();
        let mut aliases = Vec::new();
        let mut default = None;
        let mut event_time = None;
        let avro = avro_type(&field.ty)?;
        for attr in avro_attributes(&field.attrs) {
            attr.parse_nested_meta(|meta| {
                if meta.path.is_ident("rename") {
                    name = avro_name(&meta.value()?.parse()?)?;
                } else if meta.path.is_ident("alias") {
                    aliases.push(avro_name(&meta.value()?.parse()?)?);
                } else if meta.path.is_ident("default") {
                    default = Some(default_value(&meta.value()?.parse()?, avro)?);
                } else if meta.path.is_ident("event_time") {
                    event_time = Some(meta.path.span());
                } else {
                    return Err(meta.error("known here: rename, alias, default, event_time"));
                }
                Ok(())
            })?;
        }
        if let Some(span) = event_time
            && avro.logical != Some("timestamp-micros")
        {
            return Err(Error::new(span, "the event time is a `Timestamp`"));
        }
        if avro.nullable {
            default = Some(Value::Null);
        }
        Ok(Self {
            ident,
            ty: field.ty.clone(),
            name,
            aliases,
            doc: doc(&field.attrs),
            default,
            event_time: event_time.is_some(),
            avro,
        })
    }
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

fn avro_type(ty: &Type) -> Result<Avro> {
    let unknown = || {
        Error::new(
            ty.span(),
            "no Avro type for this: use bool, i32, i64, f32, f64, String, Vec<u8>, Timestamp, \
             or an Option of one of them",
        )
    };
    let Type::Path(path) = ty else {
        return Err(unknown());
    };
    let segment = path.path.segments.last().ok_or_else(unknown)?;
    let inner = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => match arguments.args.first() {
            Some(GenericArgument::Type(inner)) => Some(inner),
            _ => return Err(unknown()),
        },
        _ => None,
    };
    let plain = |primitive| Avro {
        primitive,
        logical: None,
        nullable: false,
    };
    Ok(match (segment.ident.to_string().as_str(), inner) {
        ("bool", None) => plain("boolean"),
        ("i32", None) => plain("int"),
        ("i64", None) => plain("long"),
        ("f32", None) => plain("float"),
        ("f64", None) => plain("double"),
        ("String", None) => plain("string"),
        ("Timestamp", None) => Avro {
            logical: Some("timestamp-micros"),
            ..plain("long")
        },
        ("Vec", Some(Type::Path(item))) if item.path.is_ident("u8") => plain("bytes"),
        ("Option", Some(inner)) => {
            let avro = avro_type(inner)?;
            if avro.nullable {
                return Err(Error::new(
                    ty.span(),
                    "an Option of an Option is one null too many",
                ));
            }
            Avro {
                nullable: true,
                ..avro
            }
        }
        _ => return Err(unknown()),
    })
}

fn default_value(expr: &Expr, avro: Avro) -> Result<Value> {
    if avro.nullable {
        return Err(Error::new(
            expr.span(),
            "an Option has the default null: take the Option away for another one",
        ));
    }
    let (negative, literal) = match expr {
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(_),
            expr: inner,
            ..
        }) => (true, &**inner),
        other => (false, other),
    };
    let mismatch = || {
        Error::new(
            expr.span(),
            format!(
                "the default of this field is a literal of type {}",
                avro.primitive
            ),
        )
    };
    let Expr::Lit(ExprLit { lit, .. }) = literal else {
        return Err(mismatch());
    };
    let sign = if negative { -1 } else { 1 };
    Ok(match (avro.primitive, lit) {
        ("boolean", Lit::Bool(b)) if !negative => Value::from(b.value),
        ("int", Lit::Int(n)) => {
            let n = sign * n.base10_parse::<i64>()?;
            Value::from(i32::try_from(n).map_err(|_| mismatch())?)
        }
        ("long", Lit::Int(n)) => Value::from(sign * n.base10_parse::<i64>()?),
        ("float" | "double", Lit::Int(n)) => Value::from(sign as f64 * n.base10_parse::<f64>()?),
        ("float" | "double", Lit::Float(n)) => Value::from(sign as f64 * n.base10_parse::<f64>()?),
        ("string", Lit::Str(s)) if !negative => Value::from(s.value()),
        ("bytes", Lit::ByteStr(s)) if !negative => {
            Value::from(s.value().iter().map(|&b| char::from(b)).collect::<String>())
        }
        _ => return Err(mismatch()),
    })
}
