{{ select }} LIMIT {{ limit | literal }};
