"""What to do: filesets, their files counted, and the chunks they are cut into."""
