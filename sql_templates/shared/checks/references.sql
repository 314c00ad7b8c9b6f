SELECT referring.*
FROM {{ table | ident }} AS referring
LEFT JOIN {{ to_table | ident }} AS referred
    ON referring.{{ column | ident }} = referred.{{ to_column | ident }}
WHERE referring.{{ column | ident }} IS NOT NULL AND referred.{{ to_column | ident }} IS NULL;
