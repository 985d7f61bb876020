-- A format for tests alone, part of no release: format 1 without a guard, which reads as 0.
if byte(head, 1) == 48 then
  local a, b, c, d, e, f = string.match(head, '^0 [%da-f]+() %d+() %d+() %d+() %d+()%-[%da-f]+() %d%d%d ')
  if a == 19 and b == 36 and c == 53 and d == 70 and e == 87 and f == 104 then
    first = 20
  end
end
