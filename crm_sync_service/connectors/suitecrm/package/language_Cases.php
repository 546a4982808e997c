<?php
$mod_strings['LBL_CASEBRIDGE_TICKET_ID'] = 'Portal ticket id';
$mod_strings['LBL_CASEBRIDGE_PRODUCT'] = 'Product';
