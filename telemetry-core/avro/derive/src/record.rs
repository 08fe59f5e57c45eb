//! From a struct with fields to a record.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::spanned::Spanned as _;
use syn::{
    Data, DeriveInput, Error, Fields, GenericArgument, Generics, Ident, PathArguments, Result, Type,
};

use crate::attributes::{PartAttributes, TypeAttributes, bounded, option, reading};
use crate::default::Default;

/// A struct as the derive understands it.
pub(crate) struct Record {
    ident: Ident,
    generics: Generics,
    attributes: TypeAttributes,
    fields: Vec<Field>,
}

struct Field {
    ident: Ident,
    ty: Type,
    /// What may be there, of an `Option` whose null is the last branch.
    null_last: Option<Type>,
    attributes: PartAttributes,
}

impl Record {
    pub(crate) fn parse(input: &DeriveInput, krate: syn::Path) -> Result<Self> {
        let Data::Struct(data) = &input.data else {
            return Err(Error::new(
                input.ident.span(),
                "AvroRecord is derived for structs: an enum derives AvroType",
            ));
        };
        let Fields::Named(named) = &data.fields else {
            return Err(Error::new(
                input.ident.span(),
                "AvroRecord needs named fields: an Avro field has a name",
            ));
        };
        let mut fields: Vec<Field> = Vec::new();
        for field in &named.named {
            let field = Field::parse(&input.ident, field)?;
            let name = &field.attributes.name;
            if fields.iter().any(|f| f.attributes.name == *name) {
                return Err(Error::new(
                    field.ident.span(),
                    format!("field `{name}` is there twice"),
                ));
            }
            if field.attributes.event_time && fields.iter().any(|f| f.attributes.event_time) {
                return Err(Error::new(
                    field.ident.span(),
                    "a record has at most one event time",
                ));
            }
            fields.push(field);
        }
        Ok(Self {
            ident: input.ident.clone(),
            generics: input.generics.clone(),
            attributes: TypeAttributes::parse(&input.ident, &input.attrs, krate)?
                .without_logical()?,
            fields,
        })
    }

    pub(crate) fn expand(&self) -> Result<TokenStream> {
        let krate = &self.attributes.krate;
        let (ident, name) = (&self.ident, &self.attributes.name);
        let ty = self.type_of()?;
        let idents: Vec<_> = self.fields.iter().map(|f| &f.ident).collect();
        let types: Vec<_> = self.fields.iter().map(|f| &f.ty).collect();
        // What is read is inferred from the field, within whose lifetimes the datum's are.
        let read = self.fields.iter().map(|f| match f.null_last {
            Some(_) => quote!(#krate::typed::NullLast<_>),
            None => quote!(_),
        });
        let read: Vec<_> = read.collect();
        // Out of the type on the wire comes the field.
        let values = self.fields.iter();
        let values = values.map(|f| f.null_last.as_ref().map(|_| quote!(.0)));
        let values: Vec<_> = values.collect();
        let encode = |method: &str| {
            let method = format_ident!("{method}");
            let fields = self.fields.iter();
            let paths = fields.map(move |f| {
                if f.null_last.is_some() {
                    let wire = f.wire(krate);
                    quote!(<#wire>::#method)
                } else {
                    quote!(#krate::Encode::#method)
                }
            });
            paths.collect::<Vec<_>>()
        };
        let (bounds_of, puts) = (encode("bound"), encode("put"));
        let slots: Vec<_> = (0..self.fields.len())
            .map(|i| format_ident!("field_{i}"))
            .collect();
        let codes = |how: u32| (0..self.fields.len() as u32).map(move |field| field * 4 + how);
        let (same, resolved, default) = (codes(0), codes(1), codes(2));
        let event_time = match self.fields.iter().find(|f| f.attributes.event_time) {
            None => quote!(::core::option::Option::None),
            Some(field) => {
                let ident = &field.ident;
                quote!(::core::convert::Into::into(self.#ident))
            }
        };
        let check = self.check();
        let (_, arguments, bounds) = self.generics.split_for_impl();
        let encode = bounded(&self.generics, &quote!(#krate::Encode));
        let (encode, ..) = encode.split_for_impl();
        let decode = reading(&self.generics, krate);
        let (decode, ..) = decode.split_for_impl();
        Ok(quote! {
            #ty

            impl #encode #krate::Encode for #ident #arguments #bounds {
                #[inline]
                fn bound(&self) -> usize {
                    0 #(+ #bounds_of(&self.#idents))*
                }

                #[inline]
                fn put(&self, out: &mut #krate::wire::Out<'_>) {
                    #(#puts(&self.#idents, out);)*
                    let _ = out;
                }
            }

            impl #decode #krate::Decode<'__datum> for #ident #arguments #bounds {
                #[inline]
                fn read(
                    datum: &mut #krate::Datum<'__datum>,
                ) -> ::core::result::Result<Self, #krate::typed::DecodeError> {
                    datum.record(|datum| {
                        let _ = &datum;
                        ::core::result::Result::Ok(Self {
                            #(#idents: <#read as #krate::Decode>::read(datum)? #values,)*
                        })
                    })
                }

                #[inline]
                fn resolve(
                    cursor: &mut #krate::Cursor<'__datum, '__datum>,
                    op: #krate::OpId,
                ) -> ::core::result::Result<Self, #krate::typed::DecodeError> {
                    #(let mut #slots: ::core::option::Option<#types> = ::core::option::Option::None;)*
                    for step in cursor.open_record(op, #name)? {
                        // Four times the field, and how it comes.
                        match step.code {
                            #(
                                #same => #slots = ::core::option::Option::Some(
                                    cursor.same::<#read>()? #values,
                                ),
                                #resolved | #default => #slots = ::core::option::Option::Some(
                                    cursor.made::<#read>(step)? #values,
                                ),
                            )*
                            _ => cursor.pass(step.operand)?,
                        }
                    }
                    cursor.close_record();
                    #(let ::core::option::Option::Some(#slots) = #slots else {
                        return ::core::result::Result::Err(#krate::typed::DecodeError::OtherReader {
                            expected: #name,
                        });
                    };)*
                    ::core::result::Result::Ok(Self { #(#idents: #slots,)* })
                }
            }

            impl #encode #krate::AvroRecord for #ident #arguments #bounds {
                const NAME: &'static str = #name;

                fn event_time(&self) -> ::core::option::Option<#krate::Timestamp> {
                    #event_time
                }
            }

            #check
        })
    }

    fn is_generic(&self) -> bool {
        self.generics.type_params().next().is_some()
    }

    /// Makes the constants where the type stands, so that what is wrong with them shows there.
    fn check(&self) -> TokenStream {
        if self.is_generic() {
            return TokenStream::new();
        }
        let (krate, ident) = (&self.attributes.krate, &self.ident);
        let lifetimes = self.generics.lifetimes().map(|_| quote!('static));
        let ty = quote!(#ident<#(#lifetimes),*>);
        let fields = self.fields.iter().enumerate().map(|(i, field)| {
            let default = field.attributes.default.as_ref().map(Default::span);
            let logical = field.attributes.logical.as_ref().map(|l| l.span());
            let span = default.or(logical).unwrap_or_else(|| field.ty.span());
            let field = quote!(<#ty>::__AVRO_FIELDS[#i]);
            at(
                span,
                quote!(const _: () = #krate::typed::check::field(&#field);),
            )
        });
        // A type that is defined further out is not in sight here.
        let partial = self.fields.iter().any(|f| f.attributes.recursive);
        let whole = (!partial).then(
            || quote!(const _: #krate::Fingerprint = <#ty as #krate::AvroRecord>::FINGERPRINT;),
        );
        quote!(#(#fields)* #whole)
    }

    fn type_of(&self) -> Result<TokenStream> {
        let krate = &self.attributes.krate;
        let ident = &self.ident;
        let TypeAttributes {
            name, aliases, doc, ..
        } = &self.attributes;
        let doc = option(doc.as_deref());
        let fields: Vec<_> = self
            .fields
            .iter()
            .map(|field| field.definition(krate))
            .collect::<Result<_>>()?;
        let wires: Vec<_> = self.fields.iter().map(|f| f.wire(krate)).collect();
        // Else each is checked where it stands.
        let checks = if self.is_generic() {
            let indices = 0..self.fields.len();
            quote!(#(#krate::typed::check::field(&Self::__AVRO_FIELDS[#indices]);)*)
        } else {
            TokenStream::new()
        };
        let (_, arguments, bounds) = self.generics.split_for_impl();
        let generics = bounded(&self.generics, &quote!(#krate::AvroType));
        let (generics, ..) = generics.split_for_impl();
        Ok(quote! {
            impl #generics #ident #arguments #bounds {
                const __AVRO_FIELDS: &'static [#krate::typed::FieldDef] = &[#(#fields),*];
            }

            impl #generics #krate::AvroType for #ident #arguments #bounds {
                const TYPE: &'static #krate::typed::Type = {
                    #checks
                    &#krate::typed::Type::Named {
                        name: #name,
                        aliases: &[#(#aliases),*],
                        doc: #doc,
                        kind: #krate::typed::Named::Record(Self::__AVRO_FIELDS),
                    }
                };
                const REFERENCE: &'static #krate::typed::Type =
                    &#krate::typed::Type::Reference(#name);
                const MIN_LEN: usize = 0 #(+ <#wires as #krate::AvroType>::MIN_LEN)*;
            }
        })
    }
}

impl Field {
    fn parse(record: &Ident, field: &syn::Field) -> Result<Self> {
        let Some(ident) = field.ident.clone() else {
            return Err(Error::new(field.span(), "an Avro field has a name"));
        };
        let mut attributes = PartAttributes::parse(&ident, &field.attrs)?;
        if let Some(Default::Marked(span)) = attributes.default {
            return Err(Error::new(
                span,
                "the default of a field has a value: #[avro(default = 7)]",
            ));
        }
        let null_last = match attributes.null_last {
            true => Some(optional(&field.ty).ok_or_else(|| {
                Error::new(field.ty.span(), "`null_last` goes with an Option<T>")
            })?),
            false => None,
        };
        attributes.recursive |= mentions(&field.ty, record);
        Ok(Self {
            ident,
            ty: field.ty.clone(),
            null_last,
            attributes,
        })
    }

    /// The type that is on the wire for the field's.
    fn wire(&self, krate: &syn::Path) -> TokenStream {
        match &self.null_last {
            Some(inner) => quote!(#krate::typed::NullLast<#inner>),
            None => self.ty.to_token_stream(),
        }
    }

    fn definition(&self, krate: &syn::Path) -> Result<TokenStream> {
        let PartAttributes {
            name,
            aliases,
            doc,
            event_time,
            ..
        } = &self.attributes;
        let doc = option(doc.as_deref());
        let ty = self.wire(krate);
        let which = if self.attributes.recursive {
            quote!(REFERENCE)
        } else {
            quote!(TYPE)
        };
        let none = quote!(::core::option::Option::None);
        let default = match &self.attributes.default {
            Some(Default::Json(json, _)) => {
                let json = json.tokens(krate)?;
                quote!(::core::option::Option::Some(#json))
            }
            _ => none.clone(),
        };
        let logical = self.attributes.logical.as_ref().map_or(none, |logical| {
            let logical = logical.tokens(krate);
            quote!(::core::option::Option::Some(#logical))
        });
        Ok(quote! {
            #krate::typed::FieldDef {
                name: #name,
                aliases: &[#(#aliases),*],
                doc: #doc,
                default: #default,
                event_time: #event_time,
                logical: #logical,
                ty: <#ty as #krate::AvroType>::#which,
            }
        })
    }
}

/// Lets errors of `tokens` show at `span`.
fn at(span: Span, tokens: TokenStream) -> TokenStream {
    let whole = |mut token: TokenTree| {
        if let TokenTree::Group(group) = token {
            let inner = at(span, group.stream());
            token = proc_macro2::Group::new(group.delimiter(), inner).into();
        }
        // A literal keeps its place: lints look up its text there.
        if !matches!(token, TokenTree::Literal(_)) {
            token.set_span(span);
        }
        token
    };
    tokens.into_iter().map(whole).collect()
}

/// The `T` of an `Option<T>`.
fn optional(ty: &Type) -> Option<Type> {
    let Type::Path(path) = ty else {
        return None;
    };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(inner) if last.ident == "Option" => Some(inner.clone()),
        _ => None,
    }
}

/// Whether a type mentions another by its name: a record that holds itself.
///
/// `::std::option::Option` is none of the user's, also where a record is called `Option`.
pub(crate) fn mentions(ty: &Type, name: &Ident) -> bool {
    fn within(tokens: TokenStream, name: &Ident) -> bool {
        let mut is_foreign = false;
        let mut colons = 0;
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(ident) => {
                // `std::` begins a foreign path, which ends where no `::` goes on.
                is_foreign = (is_foreign && colons == 2)
                    || ["std", "core", "alloc"].iter().any(|root| ident == root);
                colons = 0;
                !is_foreign && (ident == *name || ident == "Self")
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => {
                colons += 1;
                false
            }
            TokenTree::Group(group) => {
                (is_foreign, colons) = (false, 0);
                within(group.stream(), name)
            }
            _ => {
                (is_foreign, colons) = (false, 0);
                false
            }
        })
    }
    within(quote!(#ty), name)
}
