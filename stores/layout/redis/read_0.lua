-- A format for tests, which is not part of a release: format 1 without a guard, which reads as 0.
if byte(head, 1) == 48 and byte(head, 2) == 32 and byte(head, 19) == 32 then
  first, guard = 20, NO_GUARD
end
