SELECT * FROM {{ table | ident }}{{ order }};
